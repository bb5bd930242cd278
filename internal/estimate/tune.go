package estimate

import (
	"cmp"
	"errors"
	"slices"

	"kaito.sh/kaito/internal/model"
)

// Tune plans a training for the best that the nodes offer, and names the nodes that
// can hold that plan, sorted.
//
// It plans for the GPUs that are free; where none are, as if none were taken, and the pod waits.
func Tune(m model.Model, load model.TuneLoad, nodes []model.NodeShape) (model.TunePlan, []string, error) {
	plan, names, err := tune(m, load, nodes)
	if err == nil || !anyTaken(nodes) {
		return plan, names, err
	}
	return tune(m, load, untaken(nodes))
}

func tune(m model.Model, load model.TuneLoad, nodes []model.NodeShape) (model.TunePlan, []string, error) {
	var best model.TunePlan
	var closest error
	for _, n := range bySize(nodes) {
		plan, err := TuneOnNode(m, load, n)
		switch {
		case err != nil && closest == nil:
			closest = err // the largest node comes first
		case err == nil && TrainsBetter(plan, best):
			best = plan
		}
	}
	if best.Model == "" {
		return model.TunePlan{}, nil, closest
	}
	var names []string
	for _, n := range nodes {
		if canTrain(n, best) {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return best, slices.Compact(names), nil
}

// TuneOnNode plans a training for one node: on a GPU where there is one that can, else
// on its CPU.
func TuneOnNode(m model.Model, load model.TuneLoad, node model.NodeShape) (model.TunePlan, error) {
	if _, ok := m.Forms[model.FormHF]; !ok {
		return model.TunePlan{}, &NoFormError{Model: m.ID, Form: model.FormHF}
	}
	load.Rank = min(load.Rank, mostRank)
	if node.GPUs.Count == 0 {
		return tuneOnCPU(m, load, node)
	}
	plan, unfit := tuneOnGPU(m, load, node)
	var taken *TakenError
	if unfit == nil || errors.As(unfit, &taken) {
		return plan, unfit // a GPU that is taken may become free
	}
	// A model that the GPUs cannot take may still be trained beside them.
	plan, err := tuneOnCPU(m, load, node)
	if err != nil {
		return plan, unfit
	}
	plan.Note = "its GPUs are not used: " + unfit.Error()
	return plan, nil
}

// TrainsBetter is true for a GPU before a CPU, then for what computes nothing twice,
// then for more CPU.
func TrainsBetter(a, b model.TunePlan) bool {
	once := func(p model.TunePlan) int {
		if p.Recompute {
			return 0
		}
		return 1
	}
	return b.Model == "" || cmp.Or(
		cmp.Compare(a.GPUs(), b.GPUs()),
		cmp.Compare(once(a), once(b)),
		cmp.Compare(a.CPU, b.CPU),
	) > 0
}

// canTrain says whether a node can take a pod of the plan.
func canTrain(n model.NodeShape, p model.TunePlan) bool {
	if n.Memory < p.Memory.Total()+besideMemory || n.CPU < p.CPU+besideCPU || n.Disk > 0 && n.Disk < p.Disk {
		return false
	}
	g := n.GPUs
	return p.GPU == nil || g.Kind == p.GPU.Kind && g.Resource == p.GPU.Resource && g.Free() >= p.GPU.Count && g.Memory >= p.GPU.Each
}

// What a training takes of any machine. The figures are those of SmolLM2-135M with
// batches of 2 rows of 81 tokens, rank 16 on all linear layers, on a CPU: a peak of
// 1350 to 1513 MB for 4 bits, 1515 MB for 16, 1889 MB for 32 (reference page on training, 4).
const (
	// fourBits is what a weight of 4 bits takes with its doubly quantised scales, in
	// thousandths of a bit: 4 and 0.127 (QLoRA, section 3). Measured: 110 MB for SmolLM2.
	fourBits = 4127
	// adapterBytes are those of a trained weight: itself, its gradient and two moments
	// of AdamW, each of 32 bits.
	adapterBytes = 16
	// logitBytes are those of one score: as the model writes it, widened to 32 bits, its
	// logarithm, and the gradients of both.
	logitBytes = 16
	// wideBytes are those of a number of 32 bits, as adapters compute.
	wideBytes = 4
	// mostRank is more than any adapter has, and as much as can be multiplied.
	mostRank = 1 << 20
	// slackPercent is for what the allocator cannot use between blocks of changing size.
	slackPercent = 115
)

// memoryOf sums up what a training keeps, but for programs.
func memoryOf(m model.Model, load model.TuneLoad, recompute bool) model.TuneMemory {
	tokens := times(model.Bytes(load.Batch), model.Bytes(load.Length))
	number := model.Bytes(max(load.Bits, 16) / 8) // 4 and 8 bits are widened to 16 to be computed with
	block := model.Bytes(activationsPerToken(m, load, number))
	kept := block * model.Bytes(m.Layers)
	if recompute {
		// Of each block its input is kept; one block at a time is computed again.
		kept = number*model.Bytes(m.Hidden)*model.Bytes(m.Layers) + block
	}
	return model.TuneMemory{
		Weights:     trainingWeights(m, load.Bits),
		Adapter:     model.Bytes(m.AdapterParameters(load.Rank, load.Targets)) * adapterBytes,
		Activations: times(tokens, kept, slackPercent) / 100,
		Logits:      times(tokens, model.Bytes(m.Vocabulary), logitBytes, slackPercent) / 100,
	}
}

// trainingWeights are those of the base model. Only the linear layers of the blocks
// are quantised.
func trainingWeights(m model.Model, bits int) model.Bytes {
	all := parameters(m)
	const perByte, mille, half = 8, 1000, 2
	queries, keys := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	linear := min(all, int64(m.Layers)*(int64(m.Hidden)*int64(2*queries+2*keys)+3*int64(m.Hidden)*int64(m.MLP)))
	switch bits {
	case 4:
		return model.Bytes(linear/perByte*fourBits/mille + (all-linear)*half)
	case 8:
		return model.Bytes(linear + (all-linear)*half)
	}
	return model.Bytes(all * int64(bits) / perByte)
}

// parameters are those that the catalog knows, or as many as the files hold at 16 bits.
func parameters(m model.Model) int64 {
	if m.Parameters > 0 {
		return m.Parameters
	}
	return int64(m.Forms[model.FormHF].Size) / 2
}

// activationsPerToken is what one block keeps of one token for the backward pass: the
// inputs and outputs of its layers in the model's own numbers, those of the norms
// widened, and the input of every adapter widened as well.
func activationsPerToken(m model.Model, load model.TuneLoad, number model.Bytes) int {
	const hidden, queries, inner, norms = 6, 6, 4, 2
	bytes := int(number)*(hidden*m.Hidden+queries*m.Heads*m.HeadDim+inner*m.MLP) + norms*wideBytes*m.Hidden
	linears := m.Linears()
	for _, target := range load.Targets {
		bytes += wideBytes * linears[target].In
	}
	return bytes
}
