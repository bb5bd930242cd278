package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/engine/flags"
)

// names are the spellings at the beginning of an entry: short and long, with commas between.
var names = regexp.MustCompile(`^(-[-\w.]+,? +|-[-\w.]+$)+`)

// table reads an entry from each line that begins with a dash; lines that explain are indented.
func table(help, version string) flags.Table {
	t := flags.Table{
		Engine: "llamacpp", Version: version,
		Source: "llama-server --help, kept in testdata, by internal/engine/flags/gen",
	}
	lines := strings.Split(help, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "-") || strings.HasPrefix(line, "-----") {
			continue
		}
		said := explained(lines[i:])
		f, ok := entry(line)
		if f.Kind == flags.Float && strings.Contains(said, "'auto'") {
			f.Kind = flags.Text
		}
		// A flag of former versions answers only that it is gone.
		if ok && !strings.Contains(said, "the argument has been removed") {
			t.Flags = append(t.Flags, f)
		}
	}
	slices.SortFunc(t.Flags, func(a, b flags.Flag) int { return strings.Compare(a.Name, b.Name) })
	return t
}

// explained is an entry with the lines that explain it.
func explained(lines []string) string {
	end := 1
	for end < len(lines) && strings.HasPrefix(lines[end], " ") {
		end++
	}
	return strings.Join(lines[:end], " ")
}

func entry(line string) (flags.Flag, bool) {
	said := names.FindString(line)
	var on, off []string
	for _, word := range strings.FieldsFunc(said, func(r rune) bool { return r == ' ' || r == ',' }) {
		name, long := strings.CutPrefix(word, "--")
		switch {
		case !long:
		case strings.HasPrefix(name, "no-"):
			off = append(off, name)
		default:
			on = append(on, name)
		}
	}
	if len(on) == 0 {
		on, off = off, nil // a switch that is called no-something
	}
	if len(on) == 0 {
		return flags.Flag{}, false
	}
	f := flags.Flag{Name: on[0], Also: on[1:]}
	if len(off) > 0 {
		f.Off = off[0]
	}
	// Two spaces stand before the explanation, one before the value.
	value, _, _ := strings.Cut(line[len(said):], "  ")
	if strings.HasSuffix(said, "  ") {
		value = ""
	}
	f.Kind, f.Many, f.Choices = reading(strings.TrimSpace(value))
	return f, true
}

// reading is how a value is read, from the word that the help has for it.
func reading(value string) (flags.Kind, flags.Many, []string) {
	switch {
	case value == "":
		return flags.Switch, "", nil
	case value == "N" || value == "P" || value == "SEED" || value == "PORT":
		return flags.Float, "", nil
	case value == "JSON":
		return flags.JSON, "", nil
	case strings.HasPrefix(value, "{"):
		return flags.Text, "", strings.Split(strings.Trim(value, "{}"), ",")
	case strings.HasPrefix(value, "[on|") || value == "<0|1>":
		return flags.Text, "", strings.Split(strings.Trim(value, "[]<>"), "|")
	case strings.Contains(value, " ") && !strings.ContainsAny(value, "<[="):
		return flags.Text, flags.List, nil
	case strings.Contains(value, ","):
		return flags.Text, flags.Commas, nil
	}
	return flags.Text, "", nil
}

// encode writes a table with one flag a line, so that a person can read a difference.
func encode(t flags.Table) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "{\n\"engine\": %q,\n\"version\": %q,\n\"source\": %q,\n\"flags\": [\n", t.Engine, t.Version, t.Source)
	for i, f := range t.Flags {
		line, err := json.Marshal(f)
		if err != nil {
			return nil, fmt.Errorf("write flag %q: %w", f.Name, err)
		}
		out.Write(line)
		if i < len(t.Flags)-1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
	}
	out.WriteString("]\n}\n")
	return out.Bytes(), nil
}
