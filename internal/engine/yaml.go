package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"kaito.sh/kaito/internal/engine/flags"
)

// truth is the value of a switch. Words of older YAML count: the files were read by it.
func truth(f flags.Flag, n *yaml.Node) (bool, error) {
	if n.Kind == yaml.ScalarNode {
		switch strings.ToLower(n.Value) {
		case "true", "yes", "on":
			return true, nil
		case "false", "no", "off":
			return false, nil
		}
	}
	return false, &flags.ValueError{Flag: f.Name, Value: shown(n), Want: "true or false"}
}

// values are those of a flag, as text for a command line.
func values(f flags.Flag, n *yaml.Node) ([]string, error) {
	switch {
	case n.Kind == yaml.AliasNode:
		return nil, errAlias
	case f.Kind == flags.JSON || f.Kind == flags.JSONOrText:
		text, err := jsonText(n)
		return []string{text}, err
	case n.Kind == yaml.SequenceNode && f.Many != "":
		var all []string
		for _, item := range n.Content {
			text, err := scalar(f, item)
			if err != nil {
				return nil, err
			}
			all = append(all, text)
		}
		if len(all) == 0 {
			return nil, &flags.ValueError{Flag: f.Name, Value: "[]", Want: "a list with at least one value"}
		}
		return all, nil
	}
	text, err := scalar(f, n)
	return []string{text}, err
}

// decimal is a number that every server reads as it is written.
var decimal = regexp.MustCompile(`^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$`)

// scalar is one value as text. Numbers keep their digits.
func scalar(f flags.Flag, n *yaml.Node) (string, error) {
	switch {
	case n.Kind == yaml.AliasNode:
		return "", errAlias
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		return "", &flags.ValueError{Flag: f.Name, Value: shown(n), Want: "a value"}
	case n.Tag == "!!bool":
		return boolean(f, n)
	case n.Tag == "!!int" && (f.Kind == flags.Int || f.Kind == flags.Size || f.Kind == flags.SizeOrAuto || f.Kind == flags.Float):
		return inDecimal(n.Value), nil
	}
	return n.Value, nil
}

// boolean is true or false in the words of a flag with choices: on and off.
func boolean(f flags.Flag, n *yaml.Node) (string, error) {
	on, err := truth(f, n)
	if err != nil {
		return "", err
	}
	word := map[bool]string{true: "on", false: "off"}[on]
	for _, choice := range f.Choices {
		if choice == word || choice == strings.ToLower(n.Value) {
			return choice, nil
		}
	}
	return "", &flags.ValueError{Flag: f.Name, Value: n.Value, Want: "a value: it is no switch"}
}

// inDecimal is an integer in decimal digits, however it was written.
func inDecimal(text string) string {
	if i, ok := new(big.Int).SetString(strings.ReplaceAll(text, "_", ""), 0); ok && !decimal.MatchString(text) {
		return i.String()
	}
	return strings.TrimPrefix(text, "+")
}

// jsonText is a value as JSON; text that is JSON already stays as it is.
func jsonText(n *yaml.Node) (string, error) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		return n.Value, nil
	}
	value, err := plain(n, 0)
	if err != nil {
		return "", err
	}
	return compact(value)
}

var (
	errAlias = errors.New("anchors and aliases are not read: write the value out")
	errDeep  = errors.New("the value is nested too deeply")
)

// plain is a node as JSON would hold it. Numbers keep their digits.
func plain(n *yaml.Node, depth int) (any, error) {
	const deepest = 32
	if depth > deepest {
		return nil, errDeep
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if _, twice := m[key.Value]; twice || key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				return nil, fmt.Errorf("the key %q is there twice or is no name", key.Value)
			}
			value, err := plain(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			m[key.Value] = value
		}
		return m, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			value, err := plain(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.ScalarNode:
		return plainScalar(n)
	}
	return nil, errAlias
}

func plainScalar(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int":
		return json.Number(digits(inDecimal(n.Value))), nil
	case "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value), nil
		}
		f, err := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
		if err != nil || f-f != 0 {
			return nil, fmt.Errorf("%q is no number that JSON can hold", n.Value)
		}
		return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
	}
	return n.Value, nil
}

// digits drops zeros in front, which JSON does not have.
func digits(text string) string {
	if i, ok := new(big.Int).SetString(text, 10); ok {
		return i.String()
	}
	return text
}

// shown is a value for a message: what is no scalar is named by its kind.
func shown(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	}
	return n.Value
}
