package engine

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/model"
)

// sectionReader reads the flags of one engine.
type sectionReader struct {
	*settingsReader
	table flags.Table
	// owned are the flags that the operator sets, with the reason; gone those of
	// older versions, with what to use instead.
	owned, gone map[string]string
	set         map[string]*setting
}

// setting is one flag of the file.
type setting struct {
	key, value *yaml.Node
	flag       flags.Flag
	off        bool
	// parts are what keys with points said of the value, by path.
	parts map[string]*yaml.Node
}

func (s sectionReader) read(key, value *yaml.Node) {
	name, path, dotted := strings.Cut(key.Value, ".")
	flag, off, ok := s.table.Find(name)
	if !ok && dotted {
		// Some flags have a point in their name.
		flag, off, ok = s.table.Find(key.Value)
		dotted = !ok
	}
	if !ok {
		if why, was := s.gone[strings.ReplaceAll(name, "_", "-")]; was {
			s.ignore(s.table.Engine+"."+key.Value, why)
			return
		}
		s.problem(key, "%s.%v", s.table.Engine, s.table.Unknown(key.Value))
		return
	}
	if why, mine := s.owned[flag.Name]; mine {
		s.problem(key, "%s.%s is set by Kaito: %s", s.table.Engine, key.Value, why)
		return
	}
	one := s.set[flag.Name]
	switch {
	case one == nil:
		one = &setting{key: key, flag: flag, parts: map[string]*yaml.Node{}}
		s.set[flag.Name] = one
	case !dotted && one.value != nil:
		s.problem(key, "%s.%s is the same flag as %s in line %d", s.table.Engine, key.Value, one.key.Value, one.key.Line)
		return
	}
	if dotted {
		one.parts[path] = value
		return
	}
	one.value, one.off = value, off
}

// finish makes arguments of what was read.
func (s sectionReader) finish() {
	var arguments []flags.Argument
	var wish model.Wish
	opened := func(f flags.Flag) bool { return f.Open != "" && s.set[f.Open] != nil }
	for _, name := range slices.Sorted(maps.Keys(s.set)) {
		one := s.set[name]
		if opened(one.flag) {
			one.flag.Choices = nil
		}
		a, err := one.argument()
		if err != nil {
			line := one.key
			if one.value != nil {
				line = one.value
			}
			s.problem(line, "%s.%v", s.table.Engine, err)
			continue
		}
		if err := hear(&wish, s.table.Engine, a); err != nil {
			s.problem(one.key, "%s.%v", s.table.Engine, err)
		}
		arguments = append(arguments, a)
	}
	if len(arguments) > 0 {
		s.settings.Arguments[s.table.Engine] = arguments
		s.settings.Wishes[s.table.Engine] = wish
	}
}

func (one *setting) argument() (flags.Argument, error) {
	f := one.flag
	if len(one.parts) > 0 {
		text, err := one.joined()
		return flags.Argument{Flag: f, Values: []string{text}}, err
	}
	if f.Kind == flags.Switch {
		on, err := truth(f, one.value)
		return flags.Argument{Flag: f, Off: on == one.off}, err
	}
	if one.off {
		return flags.Argument{}, &flags.ValueError{Flag: one.key.Value, Want: "the name of a flag with a value"}
	}
	values, err := values(f, one.value)
	if err != nil {
		return flags.Argument{}, err
	}
	for _, v := range values {
		if err := f.Check(v); err != nil {
			return flags.Argument{}, err
		}
	}
	return flags.Argument{Flag: f, Values: values}, nil
}

// joined lays the parts of a JSON value over the whole, if there is one.
func (one *setting) joined() (string, error) {
	if one.flag.Kind != flags.JSON && one.flag.Kind != flags.JSONOrText {
		return "", &flags.ValueError{Flag: one.flag.Name, Want: "a flag with parts: write it without a point"}
	}
	whole := map[string]any{}
	if one.value != nil {
		value, err := plain(one.value, 0)
		if err != nil {
			return "", err
		}
		given, ok := value.(map[string]any)
		if !ok {
			return "", &flags.ValueError{Flag: one.flag.Name, Value: one.value.Value, Want: "a map, and keys with points set parts of it"}
		}
		whole = given
	}
	for _, path := range slices.Sorted(maps.Keys(one.parts)) {
		value, err := plain(one.parts[path], 0)
		if err != nil {
			return "", err
		}
		if err := put(whole, strings.Split(path, "."), value); err != nil {
			return "", err
		}
	}
	return compact(whole)
}

func put(in map[string]any, path []string, value any) error {
	if slices.Contains(path, "") {
		return errors.New("a part of the name is empty")
	}
	for _, name := range path[:len(path)-1] {
		next, ok := in[name].(map[string]any)
		if _, there := in[name]; there && !ok {
			return errors.New(name + " is set as a whole and in part")
		}
		if !ok {
			next = map[string]any{}
			in[name] = next
		}
		in = next
	}
	last := path[len(path)-1]
	if _, there := in[last]; there {
		return errors.New(last + " is set twice")
	}
	in[last] = value
	return nil
}

// compact is JSON on one line, keys sorted, letters as they are.
func compact(value any) (string, error) {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}
