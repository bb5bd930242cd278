package modelfacts

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/gguf/gguftest"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/modelfacts/factstest"
	"kaito.sh/kaito/internal/modelfiles"
)

// judge holds what comes out of a stranger's files against what a planner relies on: a
// catalog takes it, and no plan for it needs more than the hardware has.
func judge(t *testing.T, files memory) {
	t.Helper()
	got, err := Read(t.Context(), Options{Origin: "it", All: files.list(), Files: files})
	if err != nil {
		var refused *modelfiles.Refusal
		if !errors.As(err, &refused) || refused.Message == "" || refused.Reason == "" {
			t.Fatalf("%#v is no refusal", err)
		}
		return
	}
	m := got.Model
	m.ID = "it"
	if m.Licence == "" {
		m.Licence = "MIT"
	}
	raw, err := catalog.Write(catalog.Page{Model: m, Source: "a test"})
	if err != nil {
		t.Fatalf("no catalog takes %+v: %v", m, err)
	}
	again, err := catalog.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, again, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("a catalog reads another model (-written +read):\n%s", diff)
	}
	holds(t, m)
}

// holds plans a model for machines of every size.
func holds(t *testing.T, m model.Model) {
	t.Helper()
	for _, count := range []int{1, 2, 8} {
		for _, each := range []model.Bytes{16 * model.GiB, 80 * model.GiB, 141 * model.GiB} {
			node := model.NodeShape{
				Name: "node", CPU: 64 * model.Core, Memory: 2048 * model.GiB, Disk: 1 << 44,
				GPUs: model.GPUs{Count: count, Product: "GPU", Memory: each, Capability: model.Capability{Major: 9}},
			}
			if p, err := estimate.OnGPU(m, model.Wish{}, node); err == nil {
				if total := p.GPU.Memory.Total(); total > each*model.Bytes(count*p.Nodes) || p.Context < 1 || p.Context > m.Context || p.Slots < 1 {
					t.Errorf("a plan for %s on %d × %s of %+v: %+v", total, count, each, m, p)
				}
			}
		}
	}
	node := model.NodeShape{Name: "node", CPU: 8 * model.Core, Memory: 64 * model.GiB}
	if p, err := estimate.OnCPU(m, model.Wish{}, node); err == nil && (p.Memory.Total() > node.Memory || p.Context < 1 || p.Context > m.Context) {
		t.Errorf("a plan for %s of a node of %s: %+v", p.Memory.Total(), node.Memory, p)
	}
}

func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		factstest.Llama,
		`{"text_config": {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 64, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}}`,
		`{"model_type": "deepseek_v3", "kv_lora_rank": 512, "qk_rope_head_dim": 64, "index_topk": 1, "index_head_dim": 128, "num_hidden_layers": 2}`,
		`{"hybrid_override_pattern": "M*", "num_hidden_layers": 2, "time_step_limit": [0.0, Infinity], "x": NaN}`,
		`{"quantization_config": {"config_groups": {"a": {"weights": {"num_bits": 8}}}, "quant_method": "compressed-tensors"}, "rope_scaling": {"type": "linear", "factor": 1e300}, "n_positions": 4}`,
		`{"max_position_embeddings": 16777216, "num_hidden_layers": 2048, "num_attention_heads": 2048, "head_dim": 2048, "hidden_size": 131072}`,
		`{"sliding_window": [1, null], "model_type": "mistral", "num_hidden_layers": 3, "max_position_embeddings": 9}`,
	} {
		f.Add([]byte(text), false)
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, own bool) {
		name := "config.json"
		if own {
			name = "params.json"
		}
		judge(t, memory{name: string(raw), "model.safetensors": weights()})
	})
}

func FuzzShard(f *testing.F) {
	f.Add([]byte(weights()), []byte(`{"weight_map": {"w": "model.safetensors"}}`))
	f.Add([]byte(weights()[:20]), []byte(`{"weight_map": {"w": "model.safetensors", "x": "model-2.safetensors"}, "metadata": {"total_size": 1e99}}`))
	f.Add([]byte(strings.Repeat("\xff", 16)), []byte(`{}`))
	f.Fuzz(func(t *testing.T, shard, list []byte) {
		judge(t, memory{"config.json": factstest.Llama, "model.safetensors": string(shard), "model-2.safetensors": weights(), "model.safetensors.index.json": string(list)})
	})
}

func FuzzGGUF(f *testing.F) {
	sound := gguftest.Sound()
	f.Add(sound.Bytes())
	f.Add(sound.Bytes()[:200])
	for _, more := range [][]gguftest.Key{
		{{Name: "general.alignment", Kind: 4, Value: uint32(64)}},
		{{Name: "llama.expert_count", Kind: 4, Value: uint32(8)}, {Name: "llama.expert_used_count", Kind: 4, Value: uint32(2)}},
		{{Name: "llama.attention.key_length", Kind: 4, Value: uint32(1 << 31)}},
		{{Name: "llama.attention.sliding_window", Kind: 4, Value: uint32(8)}, {Name: "llama.attention.sliding_window_pattern", Kind: 4, Value: uint32(2)}},
	} {
		with := gguftest.Sound()
		with.Keys = append(with.Keys, more...)
		f.Add(with.Bytes())
	}
	hybrid := gguftest.Sound()
	hybrid.Keys[0].Value = "qwen3next"
	for i := range hybrid.Keys {
		hybrid.Keys[i].Name = strings.Replace(hybrid.Keys[i].Name, "llama.", "qwen3next.", 1)
	}
	hybrid.Keys = append(hybrid.Keys, gguftest.Key{Name: "qwen3next.full_attention_interval", Kind: 4, Value: uint32(2)}, gguftest.Key{Name: "qwen3next.ssm.state_size", Kind: 4, Value: uint32(4)})
	f.Add(hybrid.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		judge(t, memory{"a.gguf": string(raw), "README.md": "---\nlicense: mit\n---\n"})
	})
}
