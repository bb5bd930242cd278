package estimate

import (
	"slices"

	"kaito.sh/kaito/internal/model"
)

const (
	// unknownRank is reserved for an adapter that nobody has looked into yet: nearly all
	// that are published have ranks from 8 to 64.
	unknownRank = 64
	// bytesOnCPU are those of an adapter's number in llama.cpp, bytesOnGPU in vLLM, which
	// keeps adapters in the numbers of the model, and in the node's memory besides.
	bytesOnCPU, bytesOnGPU = 4, 2
)

// vllmRanks are those that vLLM can be started for: the choices of max-lora-rank in
// internal/engine/flags.
func vllmRanks() []int { return []int{1, 8, 16, 32, 64, 128, 256, 320, 512} }

// withAdapters fills in what a wish for adapters leaves open.
func withAdapters(m model.Model, engine string, a model.Adapters) model.Adapters {
	if len(a.Ranks) == 0 {
		return model.Adapters{}
	}
	rank := slices.Max(a.Ranks)
	switch {
	case a.MaxRank > 0:
		rank = max(rank, a.MaxRank)
	case slices.Contains(a.Ranks, 0):
		rank = max(rank, unknownRank)
	}
	if engine == engineVLLM {
		if i := slices.IndexFunc(vllmRanks(), func(r int) bool { return r >= rank }); i >= 0 {
			rank = vllmRanks()[i]
		}
	}
	a.MaxRank = rank
	if a.AtOnce == 0 {
		a.AtOnce = len(a.Ranks)
	}
	a.Each = bytesOnCPU * model.Bytes(adapterParameters(m, rank))
	return a
}

// adapterParameters are those of an adapter of every linear layer.
func adapterParameters(m model.Model, rank int) int64 {
	const usualMLP = 4 // times the width, where the catalog does not say
	if m.MLP == 0 {
		m.MLP = usualMLP * m.Hidden
	}
	return m.AdapterParameters(rank, []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
}

// adaptersOnGPU is what adapters take of each GPU: vLLM has a place for each that may be
// in use in one step, as large as the largest rank asks for. GPUs that share layers share
// one half of it only; here each is counted whole.
func adaptersOnGPU(a model.Adapters) model.Bytes {
	return a.Each / bytesOnCPU * bytesOnGPU * model.Bytes(a.AtOnce)
}

// adaptersBesideGPU is what they take of the node's memory.
func adaptersBesideGPU(a model.Adapters) model.Bytes {
	return a.Each / bytesOnCPU * bytesOnGPU * model.Bytes(len(a.Ranks))
}
