package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/model"
)

// The sections of inference_config.yaml, which are the names of the engines that they are for.
const (
	sectionVLLM     = "vllm"
	sectionLlamacpp = "llamacpp"
)

// Settings are a user's inference_config.yaml, read and checked. The zero value is no settings.
type Settings struct {
	// Arguments are what each engine is told, by engine, sorted by flag.
	Arguments map[string][]flags.Argument
	// Wishes are what they ask of the plan, by engine.
	Wishes model.Wishes
	// RemoteCode lets vLLM run code that comes with the weights. No file says so: the owner of
	// a Workspace does, by annotation.
	RemoteCode bool
	// Ignored says of each key without effect why it has none, sorted.
	Ignored []string
}

// Problem is one thing that is wrong in a file.
type Problem struct {
	// Line is where, counted from 1; 0 is not known.
	Line int
	// Text says what is wrong and what to write instead.
	Text string
}

// SettingsError says everything that is wrong in an inference_config.yaml.
type SettingsError struct {
	// Problems are sorted by line.
	Problems []Problem
}

// Error is one line for a condition: the first problems, and how many more there are.
func (e *SettingsError) Error() string {
	const most = 4
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

// ParseSettings reads an inference_config.yaml. Its error is a *SettingsError.
func ParseSettings(data []byte) (Settings, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return Settings{}, &SettingsError{Problems: []Problem{notYAML(err)}}
	}
	r := &settingsReader{settings: Settings{Arguments: map[string][]flags.Argument{}, Wishes: model.Wishes{}}}
	r.document(&document)
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return Settings{}, &SettingsError{Problems: r.problems}
	}
	slices.Sort(r.settings.Ignored)
	return r.settings, nil
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

// settingsReader walks the nodes of a file and collects what it finds.
type settingsReader struct {
	settings Settings
	problems []Problem
}

func (r *settingsReader) problem(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, Problem{Line: n.Line, Text: fmt.Sprintf(format, args...)})
}

func (r *settingsReader) ignore(key, why string) {
	r.settings.Ignored = append(r.settings.Ignored, key+" ("+why+")")
}

func (r *settingsReader) document(document *yaml.Node) {
	if len(document.Content) == 0 || empty(document.Content[0]) {
		return
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		r.problem(root, "the file is no map: write vllm: or llamacpp: and the flags below it")
		return
	}
	for key, value := range r.pairs(root, "") {
		r.section(key, value)
	}
}

func (r *settingsReader) section(key, value *yaml.Node) {
	switch key.Value {
	case sectionVLLM:
		r.flags(value, flags.VLLM())
	case sectionLlamacpp:
		r.flags(value, flags.LlamaServer())
	case "max_probe_steps":
		r.ignore(key.Value, "the plan computes the context; nothing is probed")
	case "kv_cache_cpu_memory_utilization":
		r.ignore(key.Value, "the KV cache stays in the memory of the GPUs")
	default:
		r.problem(key, "%q is no section: there are vllm and llamacpp", key.Value)
	}
}

// pairs are the keys and values of a map; a key that stands there twice is a problem.
func (r *settingsReader) pairs(m *yaml.Node, within string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		lines := map[string]int{}
		for i := 0; i+1 < len(m.Content); i += 2 {
			key, value := m.Content[i], m.Content[i+1]
			switch first, twice := lines[key.Value]; {
			case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
				r.problem(key, "%sa key is a name", within)
				continue
			case twice:
				r.problem(key, "%s%s is set in line %d already", within, key.Value, first)
				continue
			}
			lines[key.Value] = key.Line
			if !yield(key, value) {
				return
			}
		}
	}
}

// flags reads one section. A flag with a point in its name sets a part of a JSON value.
func (r *settingsReader) flags(section *yaml.Node, table flags.Table) {
	if empty(section) {
		return
	}
	if section.Kind != yaml.MappingNode {
		r.problem(section, "%s is no map: write each flag as name: value", table.Engine)
		return
	}
	s := sectionReader{settingsReader: r, table: table, owned: owned(table.Engine), gone: gone(table.Engine), set: map[string]*setting{}}
	for key, value := range r.pairs(section, table.Engine+".") {
		s.read(key, value)
	}
	s.finish()
}

// empty is a section without anything below it.
func empty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}
