package estimate

import (
	_ "embed"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// pipelined lists architectures, one a line, of which vLLM can spread the layers over stages:
// hack/verify-vllm.sh --update makes it from the wheel.
//
//go:embed pipelined.txt
var pipelined string

// mostNodes bounds the nodes that serve one model together. Every token passes all of them,
// one after another, and the loss of any one ends all of them. On eight the largest model of
// the catalog (DeepSeek V4 Pro, 805 GiB) finds room from 2 x 80 GB a node on; where more
// would be needed, larger nodes are the better answer, and a refusal names them.
const mostNodes = 8

// pipelines says whether vLLM can spread the layers of a model over stages.
func pipelines(m model.Model) bool {
	for _, a := range m.Architectures {
		if strings.Contains(pipelined, "\n"+a+"\n") {
			return true
		}
	}
	return false
}

// What a stage may hold beyond its share of all layers.
const (
	// unevenPercent is the weight of the fullest stage's layers in parts of the mean: of the
	// 61 layers of DeepSeek-V3 three are dense and hold next to nothing, so that 58 hold what
	// the mean gives to 61 (first_k_dense_replace 3 in its config).
	unevenPercent = 106
	// mostVocabulary is the largest that is published, Gemma's, and bounds what embedding or
	// head take where that is not known. They stay at 16 bits in quantised models.
	mostVocabulary = 1 << 18
	bytesOfWord    = 2
	// stageOverhead is what stages need to hand tokens on: buffers of NCCL, and the hidden
	// states of the batches that are under way.
	stageOverhead = 512 * model.MiB
)

// stageLayers is how many layers the fullest stage has: vLLM deals out what remains one to a
// stage (vllm/distributed/utils.py, get_pp_indices).
func stageLayers(m model.Model, stages int) int { return (m.Layers + stages - 1) / stages }

// stageWeights bounds the files of the fullest stage: its layers, and the matrix by which
// words come in or go out, as the first and the last have it. A quantity of the whole model
// where there is one stage.
func stageWeights(m model.Model, stages int) model.Bytes {
	all := m.Forms[model.FormHF].Size
	if stages == 1 {
		return all
	}
	share := func(b model.Bytes) model.Bytes {
		return b * model.Bytes(stageLayers(m, stages)) / model.Bytes(m.Layers) * unevenPercent / 100
	}
	words := m.Vocabulary
	if words == 0 {
		words = mostVocabulary
	}
	hidden := m.Hidden
	if hidden == 0 {
		hidden = widestHidden
	}
	end := min(all, model.Bytes(words)*model.Bytes(hidden)*bytesOfWord)
	// The end is all of it, or as little as nothing: the more counts.
	return min(all, max(share(all), share(all-end)+end))
}

// stageKeeps is what the layers of the fullest stage keep: how many keep every token, how
// many a window, and the state of the others.
func stageKeeps(m model.Model, stages int) (full, windowed int, state model.Bytes) {
	all, windows := m.KVLayers(), 0
	if m.Attention.Kind == model.AttentionSliding && m.Attention.WindowLayers > 0 {
		windows = m.Attention.WindowLayers
	}
	if stages == 1 {
		return all - windows, windows, m.Attention.State
	}
	most := stageLayers(m, stages)
	full = inStage(m, most, all-windows)
	if windows > 0 {
		windowed = most - full
	}
	state = m.Attention.State
	if others := m.Layers - all; others > 0 {
		state = (m.Attention.State*model.Bytes(inStage(m, most, others)) + model.Bytes(others) - 1) / model.Bytes(others)
	}
	return full, windowed, state
}

// inStage bounds how many layers of a kind stand among so many neighbours: kinds take turns,
// so a stage has its share, and one more where the turns do not fall on its borders.
func inStage(m model.Model, neighbours, kind int) int {
	share := (neighbours*kind + m.Layers - 1) / m.Layers
	return min(neighbours, kind, share+1)
}

// endsAssumed says what a plan with several stages has assumed of their ends, or nothing.
func endsAssumed(m model.Model, stages int) []string {
	if stages == 1 || m.Vocabulary > 0 {
		return nil
	}
	return []string{"the vocabulary is not known: the first and the last stage hold 262144 words"}
}
