package adapter

import (
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"

	"kaito.sh/kaito/internal/safetensors"
)

// Weights are those of an adapter that was opened and checked.
type Weights struct {
	files  *opened
	config config
	head   safetensors.Header
}

// Pair are the two halves of what is added to one weight: Up × Down, times a scale.
type Pair struct {
	// Module is the name of the layer in the base model, such as model.layers.0.self_attn.q_proj.
	Module string
	// Down is lora_A of shape rank × in, Up is lora_B of shape out × rank.
	Down, Up safetensors.Tensor
	// Rank is the inner dimension.
	Rank int
}

// modulePrefix is what PEFT puts before the names of the base model's layers.
const modulePrefix = "base_model.model."

// Open opens the adapter in a folder and checks it as Check does, with the same errors.
// Close it in the end.
func Open(dir string) (*Weights, error) {
	files, err := open(dir)
	if err != nil {
		return nil, err
	}
	w := &Weights{files: files}
	if w.config, err = parseConfig(files.raw); err == nil {
		w.head, err = safetensors.Read(io.NewSectionReader(files.weights, 0, files.size), files.size)
	}
	if err != nil { // it was sound a moment ago
		files.close()
		return nil, fmt.Errorf("read %q again: %w", WeightsFile, err)
	}
	return w, nil
}

// Close closes the files.
func (w *Weights) Close() { w.files.close() }

// Facts are those that Check gives.
func (w *Weights) Facts() Facts { return w.files.facts }

// Config is the text of ConfigFile.
func (w *Weights) Config() []byte { return w.files.raw }

// Raw are the bytes of WeightsFile.
func (w *Weights) Raw() *io.SectionReader {
	return io.NewSectionReader(w.files.weights, 0, w.files.size)
}

// Tensor reads the bytes of a tensor.
func (w *Weights) Tensor(t safetensors.Tensor) *io.SectionReader {
	return io.NewSectionReader(w.files.weights, int64(w.head.Data+t.Begin), int64(t.End-t.Begin))
}

// Pairs are the low-rank pairs of linear layers, sorted by the names of their tensors. A
// pair of another kind, such as one of embeddings, is an UnusableError.
func (w *Weights) Pairs() ([]Pair, error) {
	var all []Pair
	for _, down := range w.head.Tensors {
		name, ok := strings.CutSuffix(down.Name, ".lora_A.weight")
		if !ok {
			if strings.Contains(down.Name, ".lora_embedding_") {
				return nil, unusable(WeightsFile, "changes the embeddings (%q), only adapters of linear layers can be used here", down.Name)
			}
			continue
		}
		up, _ := w.head.Tensor(name + ".lora_B.weight") // both halves are there: Check has looked
		const matrix = 2
		if len(down.Shape) != matrix || len(up.Shape) != matrix {
			return nil, unusable(WeightsFile, "the weights for %q have the shapes %v and %v, which are no linear layer's", name, down.Shape, up.Shape)
		}
		all = append(all, Pair{Module: strings.TrimPrefix(name, modulePrefix), Down: down, Up: up, Rank: int(down.Shape[0])})
	}
	return all, nil
}

// Scale is what PEFT multiplies the product of a pair with: alpha / rank, or alpha / √rank
// with rank stabilisation. alpha_pattern names layers by regular expressions, of which
// PEFT takes the first that matches the end of a layer's name.
func (w *Weights) Scale(p Pair) (float64, error) {
	alpha, found := *w.config.Alpha, ""
	for _, key := range sortedKeys(w.config.AlphaPattern) {
		pattern, err := regexp.Compile(`^(?:.*\.)?(?:` + key + `)$`)
		if err != nil {
			return 0, unusable(ConfigFile, "alpha_pattern %q cannot be read: %v", key, err)
		}
		if !pattern.MatchString(p.Module) {
			continue
		}
		if found != "" && w.config.AlphaPattern[key] != alpha {
			return 0, unusable(ConfigFile, "alpha_pattern has two entries for %q: %q and %q", p.Module, found, key)
		}
		alpha, found = w.config.AlphaPattern[key], key
	}
	if w.config.RSLoRA {
		return alpha / math.Sqrt(float64(p.Rank)), nil
	}
	return alpha / float64(p.Rank), nil
}
