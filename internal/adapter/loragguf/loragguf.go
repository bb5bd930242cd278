// Package loragguf turns a LoRA adapter in PEFT's form into the file that llama.cpp loads.
//
// Both hold the same two matrices for each layer that is changed. Two things differ: the
// names, and for Llama the order of the rows of the query and key projections, because
// llama.cpp turns neighbouring numbers of a head where transformers turns those half a
// head apart. A change of a weight is the product B × A, so the rows of B move with those
// of the weight. An architecture is converted once a test has compared the result with
// merged weights; every other is refused.
package loragguf

import (
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/safetensors"
)

// Base is what is known of the model that the adapter is for.
type Base struct {
	// Architecture is the class that its config.json names.
	Architecture string
	// Layers, Heads, KVHeads and HeadDim are those of the attention.
	Layers, Heads, KVHeads, HeadDim int
	// Hidden is the width of the model, MLP that inside each block.
	Hidden, MLP int
}

// Supports says whether adapters of an architecture can be converted.
func Supports(architecture string) bool { return architectures()[architecture] != "" }

// architectures are llama.cpp's names for the classes of transformers.
func architectures() map[string]string {
	return map[string]string{"LlamaForCausalLM": "llama"}
}

// linear is a layer of a block: llama.cpp's name, its shape, and in how many heads its
// rows are ordered, where their order differs.
type linear struct {
	name         string
	in, out      int
	rotatedHeads int
}

// linears are the layers of a Llama block, by the names of transformers.
func (b Base) linears() map[string]linear {
	queries, keys := b.Heads*b.HeadDim, b.KVHeads*b.HeadDim
	return map[string]linear{
		"self_attn.q_proj": {"attn_q", b.Hidden, queries, b.Heads},
		"self_attn.k_proj": {"attn_k", b.Hidden, keys, b.KVHeads},
		"self_attn.v_proj": {"attn_v", b.Hidden, keys, 0},
		"self_attn.o_proj": {"attn_output", queries, b.Hidden, 0},
		"mlp.gate_proj":    {"ffn_gate", b.Hidden, b.MLP, 0},
		"mlp.up_proj":      {"ffn_up", b.Hidden, b.MLP, 0},
		"mlp.down_proj":    {"ffn_down", b.MLP, b.Hidden, 0},
	}
}

// module is the name of a layer within a block.
var module = regexp.MustCompile(`^model\.layers\.(\d+)\.(.+)$`)

// Write writes the adapter as a GGUF file with numbers of 32 bits. What cannot be
// converted is an *adapter.UnusableError; other errors are of reading and writing.
func Write(out io.Writer, w *adapter.Weights, base Base) error {
	name := architectures()[base.Architecture]
	if name == "" {
		return unusable("is for a model of the architecture %q, and llama.cpp gets adapters only for %s: serve it with vLLM, on a node with GPUs",
			base.Architecture, strings.Join(slices.Sorted(maps.Keys(architectures())), ", "))
	}
	if err := plain(w.Facts()); err != nil {
		return err
	}
	pairs, err := w.Pairs()
	if err != nil {
		return err
	}
	f := w.Facts()
	alpha := f.Alpha
	if f.RankStabilized {
		alpha *= math.Sqrt(float64(f.Rank)) // llama.cpp divides by the rank
	}
	file := &file{text: []pairOfText{
		{"general.architecture", name}, {"general.type", "adapter"}, {"adapter.type", "lora"},
	}, alpha: float32(alpha)}
	for _, p := range pairs {
		both, err := convert(w, p, base, alpha)
		if err != nil {
			return err
		}
		file.tensors = append(file.tensors, both...)
	}
	return file.write(out)
}

// plain refuses what an adapter may hold beside low-rank pairs.
func plain(f adapter.Facts) error {
	switch {
	case f.DoRA:
		return unusable("use_dora is true: llama.cpp adds adapters to weights and does not change their magnitude; train it without DoRA")
	case len(f.Other) > 0:
		return unusable("it holds whole weights beside the low-rank ones (%s): llama.cpp takes only the latter; train it without bias and modules_to_save", f.Other[0])
	case f.Alpha == 0:
		return unusable("lora_alpha is 0, so that it changes nothing")
	}
	return nil
}

// convert makes the two tensors of a pair.
func convert(w *adapter.Weights, p adapter.Pair, base Base, alpha float64) ([]tensor, error) {
	parts := module.FindStringSubmatch(p.Module)
	if parts == nil {
		return nil, unusable("it changes %q, and llama.cpp gets only changes of the layers inside blocks", p.Module)
	}
	l, known := base.linears()[parts[2]]
	block, err := strconv.Atoi(parts[1])
	switch {
	case !known:
		return nil, unusable("it changes %q, a layer that a model of the architecture %q does not have", p.Module, base.Architecture)
	case err != nil || block >= base.Layers:
		return nil, unusable("it changes %q, and the model has %d layers: it is for another model", p.Module, base.Layers)
	case p.Down.Shape[1] != uint64(l.in) || p.Up.Shape[0] != uint64(l.out):
		return nil, unusable("its weights for %q are for a layer of %d × %d, that of the model is %d × %d: it is for another model",
			p.Module, p.Up.Shape[0], p.Down.Shape[1], l.out, l.in)
	}
	scale, err := w.Scale(p)
	if err != nil {
		return nil, err //nolint:wrapcheck // an UnusableError
	}
	name := fmt.Sprintf("blk.%d.%s.weight.lora_", block, l.name)
	down := tensor{name: name + "a", rows: p.Rank, columns: l.in, from: rows{w, p.Down, p.Rank, l.in}}
	up := tensor{name: name + "b", rows: l.out, columns: p.Rank, from: rows{w, p.Up, l.out, p.Rank}}
	// llama.cpp multiplies with alpha / rank: where PEFT does not, B makes up for it.
	if factor := scale * float64(p.Rank) / alpha; math.Abs(factor-1) > 1e-12 {
		up.factor = float32(factor)
	}
	if l.rotatedHeads > 0 {
		up.heads = l.rotatedHeads
	}
	return []tensor{down, up}, nil
}

// rows are a matrix in a file of safetensors.
type rows struct {
	weights       *adapter.Weights
	tensor        safetensors.Tensor
	rows, columns int
}

func unusable(format string, args ...any) error {
	return &adapter.UnusableError{Why: fmt.Sprintf(format, args...)}
}
