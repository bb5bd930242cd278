// Package tuning reads a user's training_config.yaml: six sections, each key known,
// each value of the type that the library wants, all defaults filled in. What it
// refuses would otherwise end a training that has paid for a node already.
package tuning

import (
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/runner/contract"
)

// Methods of tuning, in lower case.
const (
	// LoRA trains an adapter on the model's own weights.
	LoRA = "lora"
	// QLoRA trains an adapter on weights quantised to 4 or 8 bits.
	QLoRA = "qlora"
)

// Settings are a training configuration, read and checked.
type Settings struct {
	// Values are the six sections with all defaults filled in, as the trainer gets them.
	Values contract.Settings
	// MaxLength is the most tokens of one row.
	MaxLength int
	// Load is what the training asks of a machine.
	Load model.TuneLoad
	// Ignored says of each key without effect why it has none, sorted.
	Ignored []string
}

// LoadOf is what the training asks of a machine once its longest row is known, which
// may be much shorter than what rows may be.
func (s Settings) LoadOf(longestRow int) model.TuneLoad {
	load := s.Load
	if longestRow > 0 {
		load.Length = min(load.Length, longestRow)
	}
	return load
}
