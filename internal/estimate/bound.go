package estimate

import (
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// Upper bounds of what a publisher may leave unsaid. A test holds them against every model
// of the catalog whose facts have a source.
const (
	// mostLayers and widestHidden are above the largest dense model that is published,
	// Llama 3.1 405B with 126 layers and a width of 16384 (arXiv 2407.21783, table 3).
	mostLayers   = 128
	widestHidden = 16384
	// widestHead is the widest key of one head: DeepSeek V4 has 512, all others 256 or less.
	widestHead = 512
)

// Bounded fills in what is not known of a model's attention with an upper bound, and says,
// sorted, what was assumed: a plan for the result never needs less than the model itself.
// Nothing is assumed of a model whose facts are all there.
func Bounded(m model.Model) (model.Model, []string) {
	var assumed []string
	assume := func(what string) { assumed = append(assumed, what) }
	if m.Layers == 0 {
		m.Layers = mostLayers
		assume("the number of layers is not known: 128, as many as the largest published model has")
	}
	m, keys := withKeys(m)
	m, kind := withKind(m)
	assumed = slices.Concat(assumed, keys, kind)
	slices.Sort(assumed)
	return m, assumed
}

// withKeys bounds the width of keys and values. Where only the number of heads is known,
// each has its own key (multi-head attention, the widest there is); where the width of a
// head is not, the keys of all KV heads together are as wide as the model. None in the
// catalog is wider.
func withKeys(m model.Model) (model.Model, []string) {
	if m.Attention.Kind == model.AttentionLatent {
		if m.HeadDim == 0 {
			m.HeadDim = widestHead // of adapters only: the cache has no heads
		}
		return m, nil
	}
	var assumed []string
	hidden := m.Hidden
	if hidden == 0 {
		hidden = widestHidden
	}
	if m.KVHeads == 0 {
		m.KVHeads = max(1, m.Heads)
		assumed = append(assumed, "the number of KV heads is not known: as many as heads")
	}
	if m.HeadDim == 0 {
		m.HeadDim = (hidden + m.KVHeads - 1) / m.KVHeads
		assumed = append(assumed, "the width of a head is not known: the keys of a layer are as wide as the model")
	}
	return m, assumed
}

// withKind bounds what a layer keeps by the kind of attention.
func withKind(m model.Model) (model.Model, []string) {
	var assumed []string
	a := m.Attention
	switch {
	case a.Kind == model.AttentionSliding && (a.Window == 0 || a.WindowLayers == 0):
		m.Attention.Window, m.Attention.WindowLayers = 0, 0
		assumed = append(assumed, "which layers have a sliding window is not known: every layer keeps every token")
	case a.Kind == model.AttentionHybrid && a.Layers == 0:
		// What a recurrent layer keeps of a request is counted by this too: a state of
		// Mamba-2 is a few hundred times smaller than the keys of a whole context.
		assumed = append(assumed, "which layers attend is not known: every layer keeps every token")
	case a.Kind == model.AttentionHybrid && a.State == 0:
		// As much as leastContext tokens take in the layers that do not attend.
		each := model.Bytes(bytesOfCache) * model.Bytes(m.KVNumbers())
		m.Attention.State = model.Bytes(m.Layers-a.Layers) * each * leastContext
		assumed = append(assumed, "the state of the layers that do not attend is not known: as large as 2048 tokens there")
	}
	if a.Indexed && a.IndexBytes == 0 {
		// The index of DeepSeek-V3.2 is 128 numbers of 8 bits and a scale, for 576 numbers kept.
		m.Attention.IndexBytes = m.KVNumbers()
		assumed = append(assumed, "the index of sparse attention is not known: a byte for each number that is kept")
	}
	return m, assumed
}

// founded writes into a plan what it rests on.
func founded(p model.Plan, assumed []string) model.Plan {
	p.Confidence, p.Assumed = model.ConfidenceHigh, assumed
	if len(assumed) == 0 {
		return p
	}
	p.Confidence = model.ConfidenceLow
	low := "confidence is low, and the model may need less: " + strings.Join(assumed, "; ")
	if p.Note != "" {
		low = noted(p.Note, low)
	}
	p.Note = low
	return p
}
