package modelfacts

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/modelfacts/factstest"
	"kaito.sh/kaito/internal/modelfiles"
)

// memory is a model's files.
type memory map[string]string

// Range cuts a piece out.
func (m memory) Range(_ context.Context, name string, from, n int64) ([]byte, error) {
	text := m[name]
	return []byte(text[min(from, int64(len(text))):min(from+n, int64(len(text)))]), nil
}

func (m memory) list() []modelfiles.File {
	var out []modelfiles.File
	for name, text := range m {
		out = append(out, modelfiles.File{Path: name, Size: int64(len(text))})
	}
	return out
}

// weights are of a size that suits any configuration here.
func weights() string { return factstest.Weights(map[string][]int{"w": {512, 512}}) }

// read reads the configuration of a model whose weights do not matter.
func read(t *testing.T, files memory) (Facts, error) {
	t.Helper()
	files["model.safetensors"] = weights()
	return Read(t.Context(), Options{Origin: "it", All: files.list(), Files: files})
}

// Each case is the part of a published configuration that sizes a model, and what follows
// from it by hand.
func TestConfigurations(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config string
		want   model.Model
	}{
		"Llama 3.1, whose scaling is counted in": {
			`{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 131072,
			  "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": false,
			  "rope_scaling": {"factor": 8.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}}`,
			model.Model{
				Context: 131072, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, Hidden: 4096, MLP: 14336, Vocabulary: 128256,
				Architectures: []string{"LlamaForCausalLM"},
			},
		},
		"one whose context is stretched, with numbers as Python writes them": {
			`{"model_type": "llama", "hidden_size": 4096.0, "max_position_embeddings": 4096, "num_attention_heads": 32, "num_hidden_layers": 32, "rope_scaling": {"type": "linear", "factor": 2.5}}`,
			model.Model{Context: 10240, Layers: 32, Heads: 32, KVHeads: 32, HeadDim: 128, Hidden: 4096},
		},
		"one with YaRN, which is counted in": {
			`{"model_type": "qwen2", "hidden_size": 64, "max_position_embeddings": 131072, "num_attention_heads": 4, "num_hidden_layers": 2, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}`,
			model.Model{Context: 131072, Layers: 2, Heads: 4, KVHeads: 4, HeadDim: 16, Hidden: 64},
		},
		"Qwen2.5, which names a window and does not use it": {
			`{"model_type": "qwen2", "hidden_size": 3584, "max_position_embeddings": 32768, "max_window_layers": 28, "num_attention_heads": 28, "num_hidden_layers": 28,
			  "num_key_value_heads": 4, "sliding_window": 131072, "use_sliding_window": false}`,
			model.Model{Context: 32768, Layers: 28, Heads: 28, KVHeads: 4, HeadDim: 128, Hidden: 3584},
		},
		"GPT-2, by its own names": {
			`{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257}`,
			model.Model{Context: 1024, Layers: 12, Heads: 12, KVHeads: 12, HeadDim: 64, Hidden: 768, Vocabulary: 50257, Architectures: []string{"GPT2LMHeadModel"}},
		},
		"Falcon 7B, all of whose heads share one key": {
			`{"model_type": "falcon", "hidden_size": 4544, "num_attention_heads": 71, "num_hidden_layers": 32, "multi_query": true, "num_kv_heads": 71, "new_decoder_architecture": false, "max_position_embeddings": 2048}`,
			model.Model{Context: 2048, Layers: 32, Heads: 71, KVHeads: 1, HeadDim: 64, Hidden: 4544},
		},
		"Gemma 3, whose language model is one of two towers": {
			`{"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": {"head_dim": 128, "hidden_size": 5376, "intermediate_size": 21504,
			  "max_position_embeddings": 131072, "model_type": "gemma3_text", "num_attention_heads": 32, "num_hidden_layers": 62, "num_key_value_heads": 16,
			  "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024, "sliding_window_pattern": 6}, "vision_config": {"num_hidden_layers": 27, "hidden_size": 1152}}`,
			model.Model{
				Context: 131072, Layers: 62, Heads: 32, KVHeads: 16, HeadDim: 128, Hidden: 5376, MLP: 21504,
				Attention:     model.Attention{Kind: model.AttentionSliding, Window: 1024, WindowLayers: 52},
				Architectures: []string{"Gemma3ForConditionalGeneration"},
			},
		},
		"gpt-oss, half of whose layers have a window": {
			`{"model_type": "gpt_oss", "head_dim": 64, "hidden_size": 2880, "intermediate_size": 2880, "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
			  "max_position_embeddings": 131072, "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 4, "num_key_value_heads": 8, "num_local_experts": 32,
			  "quantization_config": {"modules_to_not_convert": ["lm_head"], "quant_method": "mxfp4"}, "sliding_window": 128,
			  "rope_scaling": {"factor": 32.0, "original_max_position_embeddings": 4096, "rope_type": "yarn"}}`,
			model.Model{
				Context: 131072, Layers: 4, Heads: 64, KVHeads: 8, HeadDim: 64, Hidden: 2880, MLP: 2880, Experts: 32, ExpertsPerToken: 4,
				Attention: model.Attention{Kind: model.AttentionSliding, Window: 128, WindowLayers: 2}, Quantisation: "mxfp4", QuantisationBits: 4,
			},
		},
		"DeepSeek-V3.2, with a latent vector and an index": {
			`{"model_type": "deepseek_v32", "auto_map": {"AutoConfig": "x.Y"}, "hidden_size": 7168, "index_head_dim": 128, "index_n_heads": 64, "index_topk": 2048, "kv_lora_rank": 512,
			  "max_position_embeddings": 163840, "n_routed_experts": 256, "num_attention_heads": 128, "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128,
			  "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "quantization_config": {"fmt": "e4m3", "quant_method": "fp8"},
			  "rope_scaling": {"factor": 40, "original_max_position_embeddings": 4096, "type": "yarn"}}`,
			model.Model{
				Context: 163840, Layers: 61, Heads: 128, KVHeads: 128, Hidden: 7168, Experts: 256, ExpertsPerToken: 8,
				Attention:    model.Attention{Kind: model.AttentionLatent, Latent: 512, Rope: 64, Indexed: true, IndexBytes: 132},
				Quantisation: "fp8", QuantisationBits: 8, RemoteCode: true,
			},
		},
		"Qwen3-Next, of which every fourth layer attends": {
			`{"model_type": "qwen3_next", "full_attention_interval": 4, "head_dim": 256, "hidden_size": 2048, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_value_head_dim": 128, "max_position_embeddings": 262144,
			  "num_attention_heads": 16, "num_experts": 512, "num_experts_per_tok": 10, "num_hidden_layers": 48, "num_key_value_heads": 2}`,
			model.Model{
				Context: 262144, Layers: 48, Heads: 16, KVHeads: 2, HeadDim: 256, Hidden: 2048, Experts: 512, ExpertsPerToken: 10,
				// 36 layers × ((2×128×16 + 128×32) × 3 + 32×128×128) numbers × 4 bytes
				Attention: model.Attention{Kind: model.AttentionHybrid, Layers: 12, State: 36 * 548864 * 4},
			},
		},
		"Nemotron-H, with a letter a layer and a number that is none": {
			`{"model_type": "nemotron_h", "hidden_size": 4480, "head_dim": 128, "hybrid_override_pattern": "M-M*-M*", "max_position_embeddings": 131072, "num_attention_heads": 40,
			  "num_hidden_layers": 7, "num_key_value_heads": 8, "conv_kernel": 4, "mamba_head_dim": 80, "mamba_num_heads": 128, "n_groups": 8, "ssm_state_size": 128, "time_step_limit": [0.0, Infinity]}`,
			model.Model{
				Context: 131072, Layers: 7, Heads: 40, KVHeads: 8, HeadDim: 128, Hidden: 4480,
				// 3 layers × ((128×80 + 2×8×128) × 3 + 128×80×128) numbers × 4 bytes
				Attention: model.Attention{Kind: model.AttentionHybrid, Layers: 2, State: 3 * 1347584 * 4},
			},
		},
		"Mistral 7B v0.1, every layer of which has a window": {
			`{"model_type": "mistral", "hidden_size": 4096, "max_position_embeddings": 32768, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "sliding_window": 4096}`,
			model.Model{
				Context: 32768, Layers: 32, Heads: 32, KVHeads: 8, HeadDim: 128, Hidden: 4096,
				Attention: model.Attention{Kind: model.AttentionSliding, Window: 4096, WindowLayers: 32},
			},
		},
		"a window of which nobody says whose it is": {
			`{"model_type": "other", "hidden_size": 64, "max_position_embeddings": 8192, "num_attention_heads": 4, "num_hidden_layers": 2, "sliding_window": 128}`,
			model.Model{Context: 8192, Layers: 2, Heads: 4, KVHeads: 4, HeadDim: 16, Hidden: 64, Attention: model.Attention{Kind: model.AttentionSliding}},
		},
		"a model in four bits by GPTQ": {
			`{"model_type": "qwen2", "hidden_size": 64, "max_position_embeddings": 8192, "num_attention_heads": 4, "num_hidden_layers": 2, "quantization_config": {"bits": 4, "quant_method": "gptq"}}`,
			model.Model{Context: 8192, Layers: 2, Heads: 4, KVHeads: 4, HeadDim: 16, Hidden: 64, Quantisation: "gptq", QuantisationBits: 4},
		},
		"one by compressed-tensors": {
			`{"model_type": "kimi_k2", "hidden_size": 64, "max_position_embeddings": 8192, "num_attention_heads": 4, "num_hidden_layers": 2,
			  "quantization_config": {"config_groups": {"group_0": {"weights": {"num_bits": 4}}}, "quant_method": "compressed_tensors"}}`,
			model.Model{Context: 8192, Layers: 2, Heads: 4, KVHeads: 4, HeadDim: 16, Hidden: 64, Quantisation: "compressed-tensors", QuantisationBits: 4},
		},
		"one by NVIDIA's tool": {
			`{"model_type": "llama", "hidden_size": 64, "max_position_embeddings": 8192, "num_attention_heads": 4, "num_hidden_layers": 2,
			  "quantization_config": {"producer": {"name": "modelopt"}, "quant_algo": "NVFP4", "quant_method": "modelopt"}}`,
			model.Model{Context: 8192, Layers: 2, Heads: 4, KVHeads: 4, HeadDim: 16, Hidden: 64, Quantisation: "modelopt_fp4", QuantisationBits: 4},
		},
		"one that leaves most to defaults": {
			`{"model_type": "gemma3", "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34, "sliding_window": 1024, "max_position_embeddings": 131072}}`,
			model.Model{Context: 131072, Layers: 34, Hidden: 2560, MLP: 10240, Attention: model.Attention{Kind: model.AttentionSliding, Window: 1024, WindowLayers: 29}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, memory{"config.json": tc.config})
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Forms = map[model.Form]model.Weights{model.FormHF: {Size: model.Bytes(len(weights()))}}
			if tc.want.Quantisation == "" {
				tc.want.Parameters = 512 * 512
			}
			if diff := cmp.Diff(tc.want, got.Model); diff != "" {
				t.Errorf("model (-want +got):\n%s", diff)
			}
		})
	}
}

// Mistral's own form stands alone where a publisher left out the other one.
func TestMistralsOwnForm(t *testing.T) {
	t.Parallel()
	files := memory{
		"consolidated.safetensors": weights(),
		"params.json": `{"dim": 5120, "n_layers": 40, "head_dim": 128, "hidden_dim": 16384, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 131072, "max_seq_len": 65536,
			"sliding_window": [1024, null], "tied_embeddings": true, "quantization": {"qformat_weight": "fp8_e4m3", "qscheme_act": "TENSOR"},
			"yarn": {"factor": 16, "original_max_position_embeddings": 16384}}`,
	}
	got, err := Read(t.Context(), Options{Origin: "it", All: files.list(), Files: files})
	if err != nil {
		t.Fatal(err)
	}
	want := model.Model{
		Context: 65536, Layers: 40, Heads: 32, KVHeads: 8, HeadDim: 128, Hidden: 5120, MLP: 16384, Vocabulary: 131072, TiedEmbeddings: true,
		Attention:     model.Attention{Kind: model.AttentionSliding, Window: 1024, WindowLayers: 20},
		Architectures: []string{"MistralForCausalLM"}, Quantisation: "fp8", QuantisationBits: 8,
		Forms: map[model.Form]model.Weights{model.FormHF: {Size: model.Bytes(len(weights()))}},
	}
	if diff := cmp.Diff(want, got.Model); diff != "" {
		t.Errorf("model (-want +got):\n%s", diff)
	}
}

// What nobody says is left out by name, so that the planner bounds it and the plan says so.
func TestWhatIsNotSaidIsNamed(t *testing.T) {
	t.Parallel()
	got, err := read(t, memory{"config.json": `{"model_type": "mamba2", "state_size": 16}`})
	if err != nil {
		t.Fatal(err)
	}
	want := "attention.layers attention.stateBytes headDim heads hidden kvHeads layers licence vocabulary"
	if diff := cmp.Diff(want, strings.Join(got.Absent, " ")); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"no file says how long the context is: vLLM takes 2048 tokens"}, got.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}
