// Command gen writes docs/training-config.md: every key of a training_config.yaml, from
// the table that checks it. It needs no flags; its argument is the file to write.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/tuning"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("give the file to write")
	}
	text, err := page(tuning.Options())
	if err != nil {
		return err
	}
	if err := os.WriteFile(args[0], []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// page is the whole page. A key that a user may set and that has no words is an error,
// and so are words for a key that there is not.
func page(t tuning.Table) (string, error) {
	var out strings.Builder
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(t.Versions)) {
		versions = append(versions, name+" "+t.Versions[name])
	}
	words := words()
	fmt.Fprintf(&out, intro, strings.Join(versions, ", "))
	var problems []error
	for _, section := range tuning.Sections() {
		fmt.Fprintf(&out, "\n## %s\n\n%s\n\n", section, about()[section])
		out.WriteString("| key | type | default | values | |\n| --- | --- | --- | --- | --- |\n")
		options := t.Sections[section]
		for _, key := range slices.Sorted(maps.Keys(options)) {
			o, said := options[key], words[section][key]
			if o.Owned {
				continue
			}
			if said == "" {
				problems = append(problems, fmt.Errorf("%s.%s has no words: add some to words.go", section, key))
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s |\n", key, kinds(o), usual(o), values(o), said)
		}
		for _, key := range slices.Sorted(maps.Keys(words[section])) {
			if o, there := options[key]; !there || o.Owned {
				problems = append(problems, fmt.Errorf("%s.%s is no key that a user may set: remove its words from words.go", section, key))
			}
		}
	}
	out.WriteString("\n## Keys without effect\n\nFiles for the reference system carry them. They are taken and do nothing.\n\n")
	taken(&out, t, func(o tuning.Option) bool { return o.Owned && o.Ignored })
	out.WriteString("\n## Keys that are Kaito's\n\nOnly their default may be written; any other value is refused with this reason.\n\n")
	taken(&out, t, func(o tuning.Option) bool { return o.Owned && !o.Ignored })
	return out.String(), errors.Join(problems...)
}

// taken lists keys by section and reason.
func taken(out *strings.Builder, t tuning.Table, which func(tuning.Option) bool) {
	out.WriteString("| section | keys | why |\n| --- | --- | --- |\n")
	for _, section := range tuning.Sections() {
		reasons := map[string][]string{}
		for key, o := range t.Sections[section] {
			if which(o) {
				reasons[o.Reason] = append(reasons[o.Reason], "`"+key+"`")
			}
		}
		for _, reason := range slices.Sorted(maps.Keys(reasons)) {
			slices.Sort(reasons[reason])
			fmt.Fprintf(out, "| %s | %s | %s |\n", section, strings.Join(reasons[reason], ", "), reason)
		}
	}
}

func kinds(o tuning.Option) string {
	all := []string{string(o.Kind)}
	for _, kind := range o.Also {
		all = append(all, string(kind))
	}
	return strings.Join(all, " or ")
}

func usual(o tuning.Option) string {
	said := code(o.Default)
	if len(o.QLoRA) > 0 {
		said += ", with qlora `" + string(o.QLoRA) + "`"
	}
	return said
}

func values(o tuning.Option) string {
	var all []string
	for _, choice := range o.Choices {
		all = append(all, code(choice))
	}
	switch {
	case len(all) > 0:
		return strings.Join(all, " ")
	case o.Least != nil && o.Most != nil:
		return fmt.Sprintf("%v to %v", *o.Least, *o.Most)
	case o.Least != nil:
		return fmt.Sprintf("at least %v", *o.Least)
	case o.Most != nil:
		return fmt.Sprintf("at most %v", *o.Most)
	}
	return ""
}

// code is a value as YAML has it.
func code(value any) string {
	if text, ok := value.(string); ok {
		return "`" + text + "`"
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return "`" + string(raw) + "`"
}
