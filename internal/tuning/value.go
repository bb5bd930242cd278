package tuning

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// read is the value of a node in the type that the library wants. The error goes on
// behind the name of the key: is "x", which is not a number.
func (o Option) read(n *yaml.Node) (any, error) {
	if n.Kind == yaml.AliasNode {
		return nil, errors.New("is an alias: write the value itself")
	}
	if empty(n) {
		if o.Nullable {
			return nil, nil //nolint:nilnil // null is a value
		}
		return nil, o.unlike(n)
	}
	for _, kind := range append([]Kind{o.Kind}, o.Also...) {
		value, ok := kind.read(n)
		if !ok {
			continue
		}
		if want := o.wrong(value); want != "" {
			return nil, fmt.Errorf("is %s, which is not %s", shown(n), want)
		}
		return value, nil
	}
	return nil, o.unlike(n)
}

func (o Option) unlike(n *yaml.Node) error {
	words := []string{o.Kind.words()}
	for _, kind := range o.Also {
		if w := kind.words(); !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return fmt.Errorf("is %s, which is not %s", shown(n), strings.Join(words, " or "))
}

// wrong says what a value of the right kind should be, or nothing.
func (o Option) wrong(value any) string {
	if len(o.Choices) > 0 && !slices.ContainsFunc(o.Choices, func(c any) bool { return same(c, value) }) {
		var all []string
		for _, c := range o.Choices {
			all = append(all, fmt.Sprint(c))
		}
		if len(all) == 1 {
			return all[0]
		}
		return "one of " + strings.Join(all, ", ")
	}
	if number, ok := decimal(value); ok {
		return o.beyond(number)
	}
	return ""
}

// beyond says in which bounds a number should be, or nothing.
func (o Option) beyond(number float64) string {
	switch {
	case o.Least != nil && number < *o.Least && o.Most != nil, o.Most != nil && number > *o.Most && o.Least != nil:
		return fmt.Sprintf("from %v to %v", *o.Least, *o.Most)
	case o.Least != nil && number < *o.Least:
		return fmt.Sprintf("at least %v", *o.Least)
	case o.Most != nil && number > *o.Most:
		return fmt.Sprintf("at most %v", *o.Most)
	}
	return ""
}

// harmless is true of a value that an owned key has anyway.
func (o Option) harmless(value any) bool {
	return same(o.Default, value) || slices.ContainsFunc(o.Choices, func(c any) bool { return same(c, value) })
}

// same compares values of the table, whose numbers are JSON's, with values of a file.
func same(a, b any) bool {
	x, isNumber := decimal(a)
	y, isToo := decimal(b)
	if isNumber || isToo {
		return isNumber && isToo && x == y
	}
	return reflect.DeepEqual(a, b)
}

func decimal(value any) (float64, bool) {
	switch n := value.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

func (k Kind) read(n *yaml.Node) (any, bool) {
	switch k {
	case List:
		return list(n)
	case Map:
		if n.Kind != yaml.MappingNode {
			return nil, false
		}
		value, err := plain(n, 0)
		return value, err == nil
	}
	if n.Kind != yaml.ScalarNode || empty(n) {
		return nil, false
	}
	switch k {
	case Bool:
		return truth(n)
	case Int:
		return whole(n)
	case Float:
		return float(n)
	case String:
		return n.Value, n.Tag != "!!bool" && !strings.ContainsRune(n.Value, 0)
	}
	return nil, false
}

// truth reads the words of older YAML as well: the files were read by it.
func truth(n *yaml.Node) (any, bool) {
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	}
	return nil, false
}

// float reads 1e-4 and "1e-4" too, which YAML 1.1 takes for text.
func float(n *yaml.Node) (any, bool) {
	if n.Tag == "!!int" {
		if i, ok := whole(n); ok {
			return float64(i.(int64)), true
		}
	}
	// Go reads more than libraries do: hexadecimal digits and underscores.
	f, err := strconv.ParseFloat(strings.TrimSpace(n.Value), 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) && !strings.ContainsAny(n.Value, "xX_pP")
}

// whole reads 1e3 and 16.0 too: they are whole numbers.
func whole(n *yaml.Node) (any, bool) {
	text := strings.ReplaceAll(strings.TrimSpace(n.Value), "_", "")
	if i, err := strconv.ParseInt(text, 0, 64); err == nil && (n.Tag == "!!int" || !strings.HasPrefix(strings.TrimLeft(text, "+-"), "0") || i == 0) {
		return i, true
	}
	f, err := strconv.ParseFloat(text, 64)
	const exact = 1 << 53
	if err != nil || f != math.Trunc(f) || math.Abs(f) > exact || strings.ContainsAny(text, "xXpP") {
		return nil, false
	}
	return int64(f), true
}

func list(n *yaml.Node) (any, bool) {
	if n.Kind != yaml.SequenceNode {
		return nil, false
	}
	value, err := plain(n, 0)
	return value, err == nil
}

// plain is a node as JSON would have it.
func plain(n *yaml.Node, depth int) (any, error) {
	const deepest = 8
	if depth > deepest {
		return nil, errors.New("is nested too deeply")
	}
	switch n.Kind {
	case yaml.MappingNode:
		all := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if _, twice := all[key.Value]; twice || key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				return nil, errors.New("has a key that is no name or stands there twice")
			}
			value, err := plain(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			all[key.Value] = value
		}
		return all, nil
	case yaml.SequenceNode:
		all := []any{}
		for _, item := range n.Content {
			value, err := plain(item, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, value)
		}
		return all, nil
	case yaml.ScalarNode:
		return scalar(n)
	}
	return nil, errors.New("is an alias: write the value itself")
}

// scalar has the type that YAML sees in it.
func scalar(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!null":
		return nil, nil //nolint:nilnil // null is a value
	case "!!bool":
		value, _ := truth(n)
		return value, nil
	case "!!int":
		if value, ok := whole(n); ok {
			return value, nil
		}
	case "!!float":
		if value, ok := float(n); ok {
			return value, nil
		}
		return nil, errors.New("holds a number that is none")
	}
	return n.Value, nil
}

func (k Kind) words() string {
	switch k {
	case Bool:
		return "true or false"
	case Int:
		return "a whole number"
	case Float:
		return "a number"
	case List:
		return "a list"
	case Map:
		return "a map"
	case String:
	}
	return "text"
}

// shown is a value in words, as it was written and not at any length.
func shown(n *yaml.Node) string {
	const most = 60
	switch {
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case empty(n):
		return "null"
	}
	text := n.Value
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strconv.Quote(text)
}
