package flags

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kaito.sh/kaito/internal/near"
)

// ValueError says why a flag does not take a value.
type ValueError struct {
	// Flag is the name of the flag, Value what it was given.
	Flag, Value string
	// Want says what it takes.
	Want string
}

// Error names all three.
func (e *ValueError) Error() string {
	return fmt.Sprintf("%s is %q, which is not %s", e.Flag, e.Value, e.Want)
}

// size is a number with a unit as vLLM reads it: no part of a power of two.
var size = regexp.MustCompile(`^(\d+|\d+[kKmMgGtT]|\d+\.\d+[kmgt])$`)

// Check says why the flag does not take a value, as the server would only once it is started.
func (f Flag) Check(value string) error {
	want := ""
	switch {
	case strings.ContainsRune(value, 0):
		want = "text without a NUL"
	case len(f.Choices) > 0 && !slices.Contains(f.Choices, value):
		want = f.choices(value)
	case len(f.Choices) == 0 && strings.HasPrefix(value, "-") && !number(value):
		want = "a value: it begins like a flag"
	case !f.reads(value):
		want = f.Kind.words()
	}
	if want == "" {
		return f.checkKeys(value)
	}
	return &ValueError{Flag: f.Name, Value: value, Want: want}
}

// choices names them where they are few, else those that may be meant.
func (f Flag) choices(value string) string {
	const few = 12
	if len(f.Choices) <= few {
		return "one of " + strings.Join(f.Choices, ", ")
	}
	want := fmt.Sprintf("one of the %d that there are", len(f.Choices))
	if names := near.Names(value, f.Choices); len(names) > 0 {
		want += ": did you mean " + strings.Join(names, " or ") + "?"
	}
	return want
}

// checkKeys looks for a key that the server does not know, and says which may be meant.
func (f Flag) checkKeys(value string) error {
	var object map[string]json.RawMessage
	if len(f.Keys) == 0 || json.Unmarshal([]byte(value), &object) != nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if slices.Contains(f.Keys, key) {
			continue
		}
		want := "one of its keys"
		if names := near.Names(key, f.Keys); len(names) > 0 {
			want += ": did you mean " + names[0] + "?"
		}
		return &ValueError{Flag: f.Name, Value: key, Want: want}
	}
	return nil
}

func (f Flag) reads(value string) bool {
	switch f.Kind {
	case Int:
		_, err := strconv.ParseInt(value, 10, 64)
		return err == nil
	case Float:
		return number(value)
	case Size:
		return size.MatchString(value)
	case SizeOrAuto:
		return value == "auto" || value == "-1" || size.MatchString(value)
	case JSON:
		return json.Valid([]byte(value))
	case Switch:
		return false
	}
	return true
}

func (k Kind) words() string {
	switch k {
	case Int:
		return "a whole number"
	case Float:
		return "a number"
	case Size:
		return "a whole number, or one with a unit such as 32k"
	case SizeOrAuto:
		return "a whole number, one with a unit such as 32k, or auto"
	case JSON:
		return "a map, a list or JSON"
	case Switch:
		return "true or false"
	}
	return "text"
}

func number(value string) bool {
	f, err := strconv.ParseFloat(value, 64)
	// Go reads more than servers do: hexadecimal digits, infinities and underscores.
	return err == nil && f-f == 0 && !strings.ContainsAny(value, "xX_pP")
}
