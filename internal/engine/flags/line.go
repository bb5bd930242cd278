package flags

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Argument is one flag with its values, as it stands on a command line.
type Argument struct {
	// Flag is what is set; a writer needs only its name, Off and Many.
	Flag Flag
	// Off turns a switch off.
	Off bool
	// Values are none for a switch.
	Values []string
}

// Set is a flag with a value.
func Set(name, value string) Argument {
	return Argument{Flag: Flag{Name: name}, Values: []string{value}}
}

// On is a switch that is turned on.
func On(name string) Argument {
	return Argument{Flag: Flag{Name: name, Kind: Switch}}
}

// Off is a switch that is turned off by another name.
func Off(name, by string) Argument {
	return Argument{Flag: Flag{Name: name, Kind: Switch, Off: by}, Off: true}
}

// Args is what stands on the command line.
func (a Argument) Args() []string {
	name := "--" + a.Flag.Name
	switch {
	case a.Off && a.Flag.Off == "":
		return nil // it is off unless it is named
	case a.Off:
		return []string{"--" + a.Flag.Off}
	case len(a.Values) == 0:
		return []string{name}
	}
	switch a.Flag.Many {
	case Repeat:
		var args []string
		for _, v := range a.Values {
			args = append(args, name, v)
		}
		return args
	case Commas:
		return []string{name, strings.Join(a.Values, ",")}
	}
	return append([]string{name}, a.Values...)
}

// Merge lays one set of arguments over another: for each flag the later set wins.
// The result is sorted by name, so that the same arguments make the same line.
func Merge(sets ...[]Argument) []Argument {
	all := map[string]Argument{}
	for _, set := range sets {
		for _, a := range set {
			all[a.Flag.Name] = a
		}
	}
	var merged []Argument
	for _, name := range slices.Sorted(maps.Keys(all)) {
		merged = append(merged, all[name])
	}
	return merged
}

// Line is the command line of arguments.
func Line(arguments []Argument) []string {
	var line []string
	for _, a := range arguments {
		line = append(line, a.Args()...)
	}
	return line
}

// UnknownError says that a server has no such flag.
type UnknownError struct {
	// Name is what was asked for, Near what may have been meant.
	Name, Near string
	// Engine and Version are those of the server.
	Engine, Version string
}

// Error says what may have been meant.
func (e *UnknownError) Error() string {
	text := fmt.Sprintf("%s is no flag of %s %s", e.Name, e.Engine, e.Version)
	if e.Near != "" {
		text += ": did you mean " + e.Near + "?"
	}
	return text
}

// Unknown is the error for a name that is not in the table.
func (t Table) Unknown(name string) error {
	return &UnknownError{Name: name, Near: t.Near(name), Engine: t.Engine, Version: t.Version}
}

// Read is the strict reading of a command line without its program: what stands
// before the first flag, and the flags. It refuses what the server would refuse,
// and the names of parsers and formats that vLLM refuses only once it has started.
func (t Table) Read(args []string) (positional []string, given []Argument, err error) {
	for len(args) > 0 && !strings.HasPrefix(args[0], "--") {
		positional, args = append(positional, args[0]), args[1:]
	}
	seen := map[string]bool{}
	for len(args) > 0 {
		name, ok := strings.CutPrefix(args[0], "--")
		if !ok {
			return nil, nil, fmt.Errorf("%q belongs to no flag", args[0])
		}
		f, off, ok := t.Find(name)
		if !ok {
			return nil, nil, t.Unknown(name)
		}
		if seen[f.Name] && f.Many != Repeat {
			return nil, nil, fmt.Errorf("--%s is said twice", f.Name)
		}
		seen[f.Name] = true
		count := 1
		for count < len(args) && !strings.HasPrefix(args[count], "--") {
			count++
		}
		a := Argument{Flag: f, Off: off, Values: args[1:count]}
		if err := a.check(); err != nil {
			return nil, nil, err
		}
		given, args = append(given, a), args[count:]
	}
	return positional, given, checkChoices(given)
}

// check counts and reads values; choices that another flag may open are left for later.
func (a Argument) check() error {
	switch n := len(a.Values); {
	case a.Flag.Kind == Switch && n > 0:
		return &ValueError{Flag: a.Flag.Name, Value: a.Values[0], Want: "expected: it is a switch"}
	case a.Flag.Kind != Switch && n == 0:
		return &ValueError{Flag: a.Flag.Name, Want: a.Flag.Kind.words()}
	case n > 1 && a.Flag.Many != List:
		return &ValueError{Flag: a.Flag.Name, Value: a.Values[1], Want: "expected: one value is enough"}
	}
	f := a.Flag
	if f.Open != "" {
		f.Choices = nil
	}
	for _, v := range a.Values {
		if err := f.Check(v); err != nil {
			return err
		}
	}
	return nil
}

// checkChoices looks at the flags whose choices another flag opens.
func checkChoices(given []Argument) error {
	for _, a := range given {
		opened := slices.ContainsFunc(given, func(o Argument) bool { return a.Flag.Open != "" && o.Flag.Name == a.Flag.Open })
		if a.Flag.Open == "" || opened {
			continue
		}
		for _, v := range a.Values {
			if err := a.Flag.Check(v); err != nil {
				return err
			}
		}
	}
	return nil
}
