package catalog

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"kaito.sh/kaito/internal/near"
)

// unreadable says by line and field why a catalog file cannot be read, where that can be
// told; cause is what the decoder says.
func unreadable(data []byte, cause error) error {
	var found mistakes
	var document yaml.Node
	if parse(data, &document) == nil && len(document.Content) == 1 {
		found.look(document.Content[0], reflect.TypeFor[entry](), "")
	}
	if len(found) == 0 {
		text := strings.NewReplacer("error converting YAML to JSON: ", "", "error unmarshaling JSON: ", "", "yaml: ", "", "\n ", "").Replace(cause.Error())
		return fmt.Errorf("read the model: %s", text)
	}
	return errors.Join(found...)
}

// parse turns a panic of the parser into an error: the file is a stranger's.
func parse(data []byte, into *yaml.Node) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the parser cannot read it")
		}
	}()
	return yaml.Unmarshal(data, into)
}

// mistakes are what is wrong with the shape of a file, by line.
type mistakes []error

func (m *mistakes) add(n *yaml.Node, format string, args ...any) {
	*m = append(*m, fmt.Errorf("line %d, %s", n.Line, fmt.Sprintf(format, args...)))
}

// look compares a value with the type of the field that it is for.
func (m *mistakes) look(n *yaml.Node, of reflect.Type, field string) {
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if n.Kind == yaml.AliasNode || n.Tag == "!!null" || n.Tag == "!!merge" {
		return // which the decoder judges
	}
	switch of.Kind() {
	case reflect.Struct:
		m.lookFields(n, of, field)
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			m.wants(n, field, "a map")
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m.look(n.Content[i+1], of.Elem(), join(field, n.Content[i].Value))
		}
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			m.wants(n, field, "a list")
			return
		}
		for _, one := range n.Content {
			m.look(one, of.Elem(), field)
		}
	default:
		m.lookScalar(n, of.Kind(), field)
	}
}

// lookFields looks for fields that there are not.
func (m *mistakes) lookFields(n *yaml.Node, of reflect.Type, field string) {
	if n.Kind != yaml.MappingNode {
		m.wants(n, field, "a map of fields")
		return
	}
	fields := map[string]reflect.Type{}
	for f := range of.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = f.Type
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		known, ok := fields[key.Value]
		switch {
		case ok && seen[key.Value]:
			m.add(key, "%s stands there twice: leave one", join(field, key.Value))
		case ok:
			m.look(value, known, join(field, key.Value))
		case key.Tag != "!!merge":
			hint := ""
			if names := near.Names(key.Value, slices.Sorted(maps.Keys(fields))); len(names) > 0 {
				hint = ", did you mean " + names[0] + "?"
			}
			m.add(key, "%s is no field of a model%s", strconv.Quote(join(field, key.Value)), hint)
		}
		seen[key.Value] = true
	}
}

// lookScalar looks at what is one word: text takes numbers too.
func (m *mistakes) lookScalar(n *yaml.Node, of reflect.Kind, field string) {
	if n.Kind != yaml.ScalarNode {
		m.wants(n, field, map[bool]string{true: "text", false: "a number"}[of == reflect.String])
		return
	}
	switch of {
	case reflect.Int, reflect.Int64:
		if _, err := strconv.ParseInt(n.Value, 0, 64); err != nil || n.Tag != "!!int" {
			m.wants(n, field, "a whole number")
		}
	case reflect.Float64:
		if n.Tag != "!!int" && n.Tag != "!!float" {
			m.wants(n, field, "a number")
		}
	case reflect.Bool:
		if n.Tag != "!!bool" {
			m.wants(n, field, "true or false")
		}
	}
}

func (m *mistakes) wants(n *yaml.Node, field, what string) {
	const most = 40
	has := map[yaml.Kind]string{yaml.MappingNode: "a map", yaml.SequenceNode: "a list"}[n.Kind]
	if has == "" {
		has = strconv.Quote(n.Value[:min(len(n.Value), most)])
	}
	if field == "" {
		field = "the file"
	}
	m.add(n, "%s is %s, not %s", field, has, what)
}

func join(field, name string) string { return strings.TrimPrefix(field+"."+name, ".") }
