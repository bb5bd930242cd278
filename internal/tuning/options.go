package tuning

import (
	_ "embed" // the table
	"encoding/json"
	"maps"
	"slices"

	"kaito.sh/kaito/internal/near"
)

// Kind is how a library reads the value of a key.
type Kind string

// The kinds of values.
const (
	// Bool is true or false.
	Bool Kind = "bool"
	// Int is a whole number.
	Int Kind = "int"
	// Float is a number with or without a point.
	Float Kind = "float"
	// String is text.
	String Kind = "string"
	// List is a list of values.
	List Kind = "list"
	// Map is a map of values.
	Map Kind = "map"
)

// Option is one key of a section, as its table says.
type Option struct {
	// Kind is how its value is read, Also the further ways.
	Kind Kind   `json:"kind"`
	Also []Kind `json:"also,omitempty"`
	// Nullable is true where null is a value.
	Nullable bool `json:"nullable,omitempty"`
	// Default is the value where the user gives none; QLoRA that of the method qlora, where it is another.
	Default any             `json:"default"`
	QLoRA   json.RawMessage `json:"qlora,omitempty"`
	// Choices are the only values.
	Choices []any `json:"choices,omitempty"`
	// Least and Most bound a number.
	Least *float64 `json:"least,omitempty"`
	Most  *float64 `json:"most,omitempty"`
	// Owned is true of a key that is not the user's, for a Reason. One that is Ignored
	// is taken without effect, because existing configurations carry it.
	Owned   bool   `json:"owned,omitempty"`
	Ignored bool   `json:"ignored,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// Table is what the libraries of one tuner image take, by section and key.
type Table struct {
	// Versions are those of the libraries.
	Versions map[string]string `json:"versions"`
	// Sections are the options by section and key.
	Sections map[string]map[string]Option `json:"sections"`
}

//
//go:generate go run ./gen ../../docs/training-config.md
//go:embed options.json
var options []byte

// Options is the table of the tuner image.
func Options() Table {
	var t Table
	if err := json.Unmarshal(options, &t); err != nil {
		panic("an embedded table is JSON: " + err.Error())
	}
	return t
}

// Sections are the names of the sections, in the order in which people write them.
func Sections() []string {
	return []string{sectionModel, sectionQuantization, sectionLoRA, sectionTraining, sectionDataset, sectionCollator}
}

// SectionTraining is the name of the section with the arguments of the trainer.
const SectionTraining = "TrainingArguments"

// The names of the sections.
const (
	sectionModel        = "ModelConfig"
	sectionQuantization = "QuantizationConfig"
	sectionLoRA         = "LoraConfig"
	sectionTraining     = SectionTraining
	sectionDataset      = "DatasetConfig"
	sectionCollator     = "DataCollator"
)

// nearest is the name that may be meant, in words for the end of a sentence.
func nearest(name string, known []string) string {
	if names := near.Names(name, known); len(names) > 0 {
		return ": did you mean " + names[0] + "?"
	}
	return ""
}

// keys are those of a section that a user may set, sorted.
func (t Table) keys(section string) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(t.Sections[section])) {
		if !t.Sections[section][key].Owned {
			all = append(all, key)
		}
	}
	return all
}

// defaults are the values of all keys that a user may set, where the user sets none.
func (t Table) defaults(section, method string) map[string]any {
	all := map[string]any{}
	for key, o := range t.Sections[section] {
		if o.Owned {
			continue
		}
		all[key] = o.Default
		if method == QLoRA && len(o.QLoRA) > 0 {
			var value any
			if err := json.Unmarshal(o.QLoRA, &value); err != nil {
				panic("an embedded table is JSON: " + err.Error())
			}
			all[key] = value
		}
	}
	return all
}
