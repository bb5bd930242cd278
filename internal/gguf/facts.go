package gguf

import (
	"fmt"
	"io"
	"strings"

	lib "github.com/gpustack/gguf-parser-go"
)

// Facts is what the header of a GGUF file says of its model. Zero is not said.
type Facts struct {
	// Architecture is llama.cpp's word for it: llama, qwen2.
	Architecture string
	// Name and Licence are the publisher's.
	Name, Licence string
	// Quantisation is the type of most tensors, as file names have it: Q4_1.
	Quantisation string
	// Parameters counts the values of all tensors, TensorBytes their size.
	Parameters, TensorBytes int64
	// Context is the number of tokens that the model was trained for.
	Context int64
	// Layers, Heads, KVHeads, KeyWidth, ValueWidth, Hidden and Vocabulary are the shape. KVHeads is
	// that of the layer with the most, KeyWidth and ValueWidth are of one head.
	Layers, Heads, KVHeads, KeyWidth, ValueWidth, Hidden, Vocabulary int64
	// MLP is the width inside of the widest block.
	MLP int64
	// Experts is how many there are in a layer, ExpertsPerToken how many of them a token uses.
	Experts, ExpertsPerToken int64
	// Window is how many tokens a windowed layer keeps, WindowLayers how many layers have one.
	Window, WindowLayers int64
	// AttendingLayers is how many layers keep keys and values; all but those that keep a state.
	AttendingLayers int64
	// Hybrid is true where some layers keep a state that does not grow, or all do.
	Hybrid bool
	// ChatTemplate is the text of the template.
	ChatTemplate string
	// TiedEmbeddings is true where there is no matrix for the output beside that for the input.
	TiedEmbeddings bool
}

// Read reads the header of a GGUF file of so many bytes from its beginning, and nothing behind
// it. The error is an *Error where the file is wrong, and wraps that of in where reading was.
func Read(in io.Reader, size int64) (Facts, error) {
	f, err := read(in, size)
	if err != nil {
		return Facts{}, err
	}
	return meaning(f)
}

// NotModelError is a sound GGUF file that is no model that llama.cpp would load.
type NotModelError struct{ Why string }

// Error says why.
func (e *NotModelError) Error() string { return e.Why }

// meaning asks the library. It panics on metadata of an unexpected type, which for us is one
// more way in which a file can be wrong.
func meaning(f *lib.GGUFFile) (facts Facts, err error) {
	defer func() {
		if p := recover(); p != nil {
			facts, err = Facts{}, &NotModelError{fmt.Sprint(p)}
		}
	}()
	f.ModelParameters = lib.GGUFParametersScalar(f.TensorInfos.Elements())
	meta := f.Metadata()
	if meta.Type != "model" {
		return Facts{}, &NotModelError{fmt.Sprintf("it is of type %q, not a model", meta.Type)}
	}
	shape := f.Architecture()
	facts = Facts{
		Architecture: meta.Architecture, Name: meta.Name, Licence: meta.License, Quantisation: fileType(meta.FileType),
		Parameters: int64(meta.Parameters), TensorBytes: int64(f.TensorInfos.Bytes()),
		Context: int64(shape.MaximumContextLength), Layers: int64(shape.BlockCount), Heads: int64(shape.AttentionHeadCount),
		KVHeads: int64(shape.AttentionHeadCountKV), KeyWidth: int64(shape.AttentionKeyLength), ValueWidth: int64(shape.AttentionValueLength),
		Hidden: int64(shape.EmbeddingLength), Vocabulary: int64(f.Tokenizer().TokensLength),
		Experts: int64(shape.ExpertCount), ExpertsPerToken: int64(shape.ExpertUsedCount),
		Window: int64(shape.AttentionSlidingWindow), Hybrid: shape.AttentionHybrid || shape.AttentionRecurrent,
	}
	for _, n := range shape.FeedForwardLength {
		facts.MLP = max(facts.MLP, int64(n))
	}
	for _, windowed := range shape.AttentionSlidingWindowLayers {
		if windowed {
			facts.WindowLayers++
		}
	}
	facts.AttendingLayers = attending(shape)
	_, output := f.TensorInfos.Get("output.weight")
	facts.TiedEmbeddings = !output
	if kv, ok := f.Header.MetadataKV.Get("tokenizer.chat_template"); ok {
		facts.ChatTemplate = kv.ValueString()
	}
	return facts, nil
}

// attending counts the layers that keep keys and values, as llama.cpp hands out its cache: by
// the layers whose number of KV heads is not 0, or every so many layers; all where a hybrid
// model does not say which.
func attending(shape lib.GGUFArchitecture) int64 {
	n := int64(0)
	switch {
	case shape.AttentionRecurrent:
		return 0
	case len(shape.AttentionHeadCountKVs) > 0:
		for _, heads := range shape.AttentionHeadCountKVs {
			if heads > 0 {
				n++
			}
		}
		return n
	case shape.AttentionHybrid && shape.FullAttentionInterval > 1:
		return int64(shape.BlockCount / uint64(shape.FullAttentionInterval))
	}
	return int64(shape.BlockCount)
}

// fileType is the name that people know a quantisation by: Q4_1. The library's own
// descriptor adds suffixes that no file name has.
func fileType(t lib.GGUFFileType) string {
	name := strings.TrimPrefix(t.String(), "MOSTLY_")
	if name == "Unknown" || strings.Contains(name, "(") {
		return ""
	}
	return name
}
