// Package adaptertest makes tiny adapters for tests: sound ones, and sound ones with
// one thing changed.
package adaptertest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Base is the model that the adapters say they were trained on.
const Base = "HuggingFaceTB/SmolLM2-135M-Instruct"

// Tensor is one tensor of a file; Shape and Dtype give its size.
type Tensor struct {
	Dtype string
	Shape []int
	// Data are its bytes; nil makes some from the tensor's name.
	Data []byte
}

// Config is a sound adapter_config.json, as PEFT 0.21 writes it.
func Config(rank int) map[string]any {
	return map[string]any{
		"alpha_pattern": map[string]any{}, "auto_mapping": nil, "base_model_name_or_path": Base, "bias": "none", "fan_in_fan_out": false,
		"inference_mode": true, "init_lora_weights": true, "layer_replication": nil, "layers_pattern": nil, "layers_to_transform": nil,
		"lora_alpha": 2 * rank, "lora_bias": false, "lora_dropout": 0.0, "modules_to_save": nil, "peft_type": "LORA", "r": rank,
		"rank_pattern": map[string]any{}, "revision": nil, "target_modules": []string{"q_proj", "v_proj"}, "task_type": "CAUSAL_LM",
		"trainable_token_indices": nil, "use_dora": false, "use_rslora": false,
	}
}

// Tensors are the weights of a sound adapter for so many layers of width hidden, on
// q_proj and v_proj.
func Tensors(layers, hidden, rank int) map[string]Tensor {
	out := map[string]Tensor{}
	for layer := range layers {
		for _, module := range []string{"q_proj", "v_proj"} {
			name := fmt.Sprintf("base_model.model.model.layers.%d.self_attn.%s.", layer, module)
			out[name+"lora_A.weight"] = Tensor{Dtype: "F32", Shape: []int{rank, hidden}}
			out[name+"lora_B.weight"] = Tensor{Dtype: "F32", Shape: []int{hidden, rank}}
		}
	}
	return out
}

// Safetensors is a file with these tensors.
func Safetensors(tb testing.TB, tensors map[string]Tensor) []byte {
	tb.Helper()
	names := make([]string, 0, len(tensors))
	for name := range tensors {
		names = append(names, name)
	}
	slices.Sort(names)
	head, data := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, []byte{}
	for _, name := range names {
		t := tensors[name]
		begin := len(data)
		if t.Data == nil {
			t.Data = noise(name, size(tb, t))
		}
		data = append(data, t.Data...)
		head[name] = map[string]any{"dtype": t.Dtype, "shape": t.Shape, "data_offsets": []int{begin, len(data)}}
	}
	text, err := json.Marshal(head)
	if err != nil {
		tb.Fatal(err)
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(out, text...), data...)
}

// size is the number of bytes of a tensor.
func size(tb testing.TB, t Tensor) int {
	tb.Helper()
	n, ok := map[string]int{"F64": 8, "I64": 8, "F32": 4, "F16": 2, "BF16": 2, "U8": 1}[t.Dtype]
	if !ok {
		tb.Fatalf("no size is known for %q", t.Dtype)
	}
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// noise is the same for the same name; as numbers it is small: the highest bits are 0.
func noise(name string, n int) []byte {
	var seed [32]byte
	copy(seed[:], name[max(0, len(name)-32):])
	out := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(out) // it never fails
	for i := 3; i < n; i += 4 {
		out[i] = 0x3a | out[i]&0x80
	}
	return out
}

// Write writes an adapter into a folder, which is made.
func Write(tb testing.TB, dir string, config map[string]any, tensors map[string]Tensor) {
	tb.Helper()
	text, err := json.MarshalIndent(config, "", "  ")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "adapter_config.json"), text, 0o644)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "adapter_model.safetensors"), Safetensors(tb, tensors), 0o644)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// Sound writes a sound adapter of rank 4 for two layers of width 16 into a new folder.
func Sound(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "adapter")
	Write(tb, dir, Config(4), Tensors(2, 16, 4))
	return dir
}
