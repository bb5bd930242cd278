package loragguf_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/adapter/adaptertest"
	"kaito.sh/kaito/internal/adapter/loragguf"
	"kaito.sh/kaito/internal/engine/llamacpp"
)

// tiny is the base of the goldens; testdata/golden.py has the same numbers.
func tiny() loragguf.Base {
	return loragguf.Base{Architecture: "LlamaForCausalLM", Layers: 11, Heads: 4, KVHeads: 2, HeadDim: 4, Hidden: 16, MLP: 24}
}

func open(t *testing.T, dir string) *adapter.Weights {
	t.Helper()
	w, err := adapter.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// The goldens are written by llama.cpp's own package, and each was proved against merged
// weights; testdata/golden.py makes them.
func TestFilesAreThoseOfLlamaCppsOwnWriter(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob(filepath.Join("testdata", "*", "want.gguf"))
	if err != nil || len(cases) < 7 {
		t.Fatalf("%d goldens, %v", len(cases), err)
	}
	for _, golden := range cases {
		t.Run(filepath.Base(filepath.Dir(golden)), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := loragguf.Write(&got, open(t, filepath.Dir(golden)), tiny()); err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(want, got.Bytes()) {
				return
			}
			at := 0
			for at < min(len(want), got.Len()) && want[at] == got.Bytes()[at] {
				at++
			}
			t.Errorf("%d bytes that differ from %d at byte %d", got.Len(), len(want), at)
		})
	}
}

func TestWhatCannotBeConvertedIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	const first = "base_model.model.model.layers.0."
	f32 := func(shape ...int) adaptertest.Tensor { return adaptertest.Tensor{Dtype: "F32", Shape: shape} }
	for name, tc := range map[string]struct {
		base    func(*loragguf.Base)
		config  map[string]any
		tensors map[string]adaptertest.Tensor
		want    string
	}{
		"another architecture":    {base: func(b *loragguf.Base) { b.Architecture = "Qwen2ForCausalLM" }, want: `architecture "Qwen2ForCausalLM", and llama.cpp gets adapters only for LlamaForCausalLM`},
		"no architecture":         {base: func(b *loragguf.Base) { b.Architecture = "" }, want: `architecture ""`},
		"a model of fewer layers": {base: func(b *loragguf.Base) { b.Layers = 1 }, want: `it changes "model.layers.1.self_attn.q_proj", and the model has 1 layers`},
		"a model of other width":  {base: func(b *loragguf.Base) { b.Hidden = 32 }, want: "are for a layer of 16 × 16, that of the model is 16 × 32: it is for another model"},
		"a model of other heads":  {base: func(b *loragguf.Base) { b.KVHeads = 1 }, want: `its weights for "model.layers.0.self_attn.v_proj" are for a layer of 16 × 16, that of the model is 4 × 16`},
		"DoRA": {
			config:  map[string]any{"use_dora": true},
			tensors: map[string]adaptertest.Tensor{first + "self_attn.q_proj.lora_magnitude_vector": f32(16)},
			want:    "use_dora is true",
		},
		"a bias": {
			config:  map[string]any{"bias": "lora_only"},
			tensors: map[string]adaptertest.Tensor{first + "self_attn.q_proj.base_layer.bias": f32(16)},
			want:    "it holds whole weights beside the low-rank ones (base_model.model.model.layers.0.self_attn.q_proj.base_layer.bias)",
		},
		"a whole module": {
			config:  map[string]any{"modules_to_save": []string{"lm_head"}},
			tensors: map[string]adaptertest.Tensor{"base_model.model.lm_head.weight": f32(8, 16)},
			want:    "it holds whole weights beside the low-rank ones (base_model.model.lm_head.weight)",
		},
		"embeddings": {
			tensors: map[string]adaptertest.Tensor{
				"base_model.model.model.embed_tokens.lora_embedding_A": f32(4, 10), "base_model.model.model.embed_tokens.lora_embedding_B": f32(16, 4),
			},
			want: "changes the embeddings",
		},
		"the head": {
			tensors: map[string]adaptertest.Tensor{"base_model.model.lm_head.lora_A.weight": f32(4, 16), "base_model.model.lm_head.lora_B.weight": f32(10, 4)},
			want:    `it changes "lm_head", and llama.cpp gets only changes of the layers inside blocks`,
		},
		"a layer of another model": {
			tensors: map[string]adaptertest.Tensor{first + "mlp.gate.lora_A.weight": f32(4, 16), first + "mlp.gate.lora_B.weight": f32(16, 4)},
			want:    `it changes "model.layers.0.mlp.gate", a layer that a model of the architecture "LlamaForCausalLM" does not have`,
		},
		"an alpha of nothing":         {config: map[string]any{"lora_alpha": 0}, want: "lora_alpha is 0"},
		"a pattern that is no regexp": {config: map[string]any{"alpha_pattern": map[string]any{"q_(proj": 2}}, want: `alpha_pattern "q_(proj" cannot be read`},
		"a layer with two alphas": {
			config: map[string]any{"alpha_pattern": map[string]any{"q_proj": 2, "layers.0.self_attn.q_proj": 3}},
			want:   `alpha_pattern has two entries for "model.layers.0.self_attn.q_proj": "layers.0.self_attn.q_proj" and "q_proj"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, config, tensors := tiny(), adaptertest.Config(4), adaptertest.Tensors(2, 16, 4)
			base.KVHeads = 4 // as wide as the fixture
			if tc.base != nil {
				tc.base(&base)
			}
			for key, value := range tc.config {
				config[key] = value
			}
			for name, tensor := range tc.tensors {
				tensors[name] = tensor
			}
			dir := filepath.Join(t.TempDir(), "adapter")
			adaptertest.Write(t, dir, config, tensors)
			err := loragguf.Write(&bytes.Buffer{}, open(t, dir), base)
			var wrong *adapter.UnusableError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a refusal that says %q", err, tc.want)
			}
		})
	}
}

// full is a disk that has no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func TestErrorsOfWritingAreNotTheAdaptersFault(t *testing.T) {
	t.Parallel()
	err := loragguf.Write(full{}, open(t, filepath.Join("testdata", "every-layer")), tiny())
	var wrong *adapter.UnusableError
	if !errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
}

func TestTheOperatorRefusesWhatCannotBeConverted(t *testing.T) {
	t.Parallel()
	for _, a := range []string{"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Phi3ForCausalLM", ""} {
		if got, want := loragguf.Supports(a), slices.Contains(llamacpp.AdapterArchitectures(), a); got != want {
			t.Errorf("%q is converted: %v, taken: %v", a, got, want)
		}
	}
}
