package estimate_test

import (
	"strings"
	"testing"

	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

// largest is a model with the largest facts that the catalog takes.
func largest(kind model.AttentionKind) model.Model {
	const small, hidden = 1 << 11, 1 << 17
	return model.Model{
		ID: "m", Context: 1 << 24, Layers: small, Heads: small, KVHeads: small, HeadDim: small, Hidden: hidden, MLP: hidden, Vocabulary: 1 << 24, Parameters: 1 << 45,
		Attention: model.Attention{Kind: kind, Latent: hidden, Rope: small, Window: 1 << 24, WindowLayers: small, Layers: small, State: 1 << 36, Indexed: true, IndexBytes: hidden},
		Forms:     map[model.Form]model.Weights{model.FormHF: {Size: 1 << 48}},
	}
}

// Absurd facts, settings and machines, each within what is taken of them, are refused with
// amounts that can be read, and never fit because a product has turned round.
func TestNothingOverflows(t *testing.T) {
	t.Parallel()
	node := gpuNode(1<<10, "X", 1<<20, 9, 0)
	for _, kind := range []model.AttentionKind{model.AttentionFull, model.AttentionLatent, model.AttentionSliding, model.AttentionHybrid} {
		m := largest(kind)
		for _, size := range []model.Bytes{1, 1 << 48} {
			m.Forms = map[model.Form]model.Weights{model.FormHF: {Size: size}}
			wish := model.Wish{Context: m.Context, Adapters: model.Adapters{Ranks: []int{512}, MaxRank: 512, AtOnce: 64}}
			p, err := estimate.OnGPU(m, wish, node)
			if err == nil || strings.Contains(err.Error(), "-") {
				t.Errorf("%q of %d bytes: %+v, %v", kind, size, p.GPU, err)
			}
			m.Forms[model.FormGGUF] = model.Weights{Size: size}
			if p, err := estimate.OnCPU(m, model.Wish{Context: m.Context, Slots: 1 << 14}, node); err == nil || strings.Contains(err.Error(), " -") {
				t.Errorf("%q of %d bytes on a CPU: %+v, %v", kind, size, p.Memory, err)
			}
		}
	}
}

// Settings of a training have no upper bounds of their own.
func TestNoTrainingOverflows(t *testing.T) {
	t.Parallel()
	m, node := preset(t, "phi-4-mini-instruct"), gpuNode(1, "B200", 183359, 10, 0)
	for _, batch := range []int{1 << 20, 1 << 30, 1 << 40, 1 << 47, 1 << 62} {
		load := model.TuneLoad{Bits: 4, Batch: batch, Length: m.Context, Rank: 8, Targets: []string{"qkv_proj"}}
		if p, err := estimate.TuneOnNode(m, load, node); err == nil || strings.Contains(err.Error(), " -") {
			t.Errorf("a batch of %d rows: %+v, %v", batch, p.GPU, err)
		}
	}
	for _, rank := range []int{1 << 24, 1 << 40, 1 << 52, 1 << 62} {
		load := model.TuneLoad{Bits: 4, Batch: 1, Length: 128, Rank: rank, Targets: []string{"qkv_proj"}}
		if p, err := estimate.TuneOnNode(m, load, node); err == nil || strings.Contains(err.Error(), " -") {
			t.Errorf("a rank of %d: %+v, %v", rank, p.GPU, err)
		}
	}
}
