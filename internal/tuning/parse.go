package tuning

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
)

// root is the one key at the top of a training_config.yaml.
const root = "training_config"

// Problem is one thing that is wrong in a file.
type Problem struct {
	// Line is where, counted from 1; 0 is no line of the file.
	Line int
	// Text says what is wrong and what to write instead.
	Text string
}

// Error says everything that is wrong in a training_config.yaml.
type Error struct {
	// Problems are sorted by line.
	Problems []Problem
}

// Error is one line for a condition: the first problems, and how many more there are.
func (e *Error) Error() string {
	const most = 12
	var parts []string
	for _, p := range e.Problems[:min(most, len(e.Problems))] {
		if p.Line > 0 {
			parts = append(parts, fmt.Sprintf("line %d: %s", p.Line, p.Text))
		} else {
			parts = append(parts, p.Text)
		}
	}
	if more := len(e.Problems) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// Parse reads a training_config.yaml for a method in lower case and the model that is
// tuned; no file at all is one without settings. Its error is an *Error.
func Parse(config []byte, method string, m model.Model) (Settings, error) {
	r := &reader{table: Options(), method: method, model: m, values: contract.Settings{}, lines: map[string]int{}}
	for _, section := range Sections() {
		r.values[section] = r.table.defaults(section, method)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(config, &document); err != nil {
		return Settings{}, &Error{Problems: []Problem{notYAML(err)}}
	}
	r.document(&document)
	var settings Settings
	if len(r.problems) == 0 {
		settings = r.settle()
	}
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
		})
		return Settings{}, &Error{Problems: r.problems}
	}
	slices.Sort(settings.Ignored)
	return settings, nil
}

// notYAML takes the line out of the parser's words: "yaml: line 3: did not find …".
// It is where the block begins in which the parser lost its way.
func notYAML(err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if _, e := fmt.Sscanf(text, "line %d: ", &line); e == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	return Problem{Line: line, Text: "is no YAML, in this line or below it: " + text}
}

// reader walks the nodes of a file and collects what it finds.
type reader struct {
	table    Table
	method   string
	model    model.Model
	values   contract.Settings
	lines    map[string]int // of what the user has set, by section.key
	ignored  []string
	problems []Problem
}

func (r *reader) problem(line int, format string, args ...any) {
	r.problems = append(r.problems, Problem{Line: line, Text: fmt.Sprintf(format, args...)})
}

func (r *reader) document(document *yaml.Node) {
	if len(document.Content) == 0 || empty(document.Content[0]) {
		return
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode {
		r.problem(top.Line, "the file is no map: write %s: and the sections below it", root)
		return
	}
	for key, value := range r.pairs(top, "") {
		switch {
		case key.Value == root:
			r.sections(value)
		case slices.Contains(Sections(), key.Value):
			r.problem(key.Line, "%s stands at the top: write it below %s:", key.Value, root)
		default:
			r.problem(key.Line, "%q is unknown at the top: the only key is %s", key.Value, root)
		}
	}
}

func (r *reader) sections(all *yaml.Node) {
	if empty(all) {
		return
	}
	if all.Kind != yaml.MappingNode {
		r.problem(all.Line, "%s is no map: write the sections below it", root)
		return
	}
	for key, value := range r.pairs(all, "") {
		if !slices.Contains(Sections(), key.Value) {
			r.problem(key.Line, "%q is no section%s", key.Value, orAll(nearest(key.Value, Sections())))
			continue
		}
		r.section(key.Value, value)
	}
}

// orAll names all sections where none is near.
func orAll(guess string) string {
	if guess != "" {
		return guess
	}
	return ": there are " + strings.Join(Sections(), ", ")
}

func (r *reader) section(name string, section *yaml.Node) {
	if empty(section) {
		return
	}
	if section.Kind != yaml.MappingNode {
		r.problem(section.Line, "%s is no map: write each key as name: value", name)
		return
	}
	for key, value := range r.pairs(section, name+".") {
		r.key(name, key, value)
	}
}

func (r *reader) key(section string, key, value *yaml.Node) {
	full := section + "." + key.Value
	o, known := r.table.Sections[section][key.Value]
	if !known {
		r.problem(key.Line, "%s is unknown%s", full, nearest(key.Value, r.table.keys(section)))
		return
	}
	if o.Owned && o.Ignored {
		r.ignored = append(r.ignored, fmt.Sprintf("%s (%s)", full, o.Reason))
		return
	}
	got, err := o.read(value)
	switch {
	case o.Owned && (err != nil || !o.harmless(got)):
		r.problem(key.Line, "%s is set by Kaito: %s", full, o.Reason)
	case o.Owned:
	case err != nil:
		r.problem(value.Line, "%s %v", full, err)
	default:
		r.values[section][key.Value] = got
		r.lines[full] = value.Line
	}
}

// pairs are the keys and values of a map; a key that stands there twice is a problem.
func (r *reader) pairs(m *yaml.Node, within string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		lines := map[string]int{}
		for i := 0; i+1 < len(m.Content); i += 2 {
			key, value := m.Content[i], m.Content[i+1]
			switch first, twice := lines[key.Value]; {
			case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
				r.problem(key.Line, "%sa key is a name", within)
				continue
			case twice:
				r.problem(key.Line, "%s%s is set in line %d already", within, key.Value, first)
				continue
			}
			lines[key.Value] = key.Line
			if !yield(key, value) {
				return
			}
		}
	}
}

// empty is a section without anything below it.
func empty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}
