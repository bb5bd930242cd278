// Package factstest has files of models for tests.
package factstest

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
)

// Llama is the config.json of a Llama of two layers.
const Llama = `{
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "intermediate_size": 48,
  "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 32,
  "max_position_embeddings": 256, "torch_dtype": "bfloat16", "tie_word_embeddings": false
}`

// Weights is a safetensors file of zeros at 16 bits: tensors by name, with their shapes.
func Weights(shapes map[string][]int) string {
	header := map[string]any{}
	at := 0
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		size := 2
		for _, n := range shapes[name] {
			size *= n
		}
		header[name] = map[string]any{"dtype": "BF16", "shape": shapes[name], "data_offsets": []int{at, at + size}}
		at += size
	}
	raw, err := json.Marshal(header)
	if err != nil {
		panic(err) // of names and numbers
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(raw)))
	return string(append(append(out, raw...), make([]byte, at)...))
}
