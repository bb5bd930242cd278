package estimate

import (
	"fmt"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// Term is one line of the arithmetic behind a plan: a name, how its amount comes about, and
// the amount. A term has either bytes or a number of something.
type Term struct {
	// Name is what is computed; the names of the parts of a plan's memory are the same for all plans.
	Name string
	// How is the formula with its figures, in units.
	How string
	// Bytes is the amount of memory.
	Bytes model.Bytes
	// Count is the amount of a Unit, such as tokens, where it is not memory.
	Count int
	Unit  string
}

// Names of terms that are parts of a plan's memory, on each GPU or of the pod.
const (
	TermWeights   = "weights"
	TermAdapters  = "adapters"
	TermOverhead  = "overhead"
	TermKVCache   = "KV cache"
	TermPrompts   = "prompt cache"
	TermTotal     = "total"
	TermAllTokens = "tokens in the cache"
)

// Serving is the arithmetic of a plan for a server, in the order in which it is done. It
// computes with the functions of the planner; a test compares its parts with the plan's.
func Serving(m model.Model, wishes model.Wishes, plan model.Plan) []Term {
	if plan.GPU == nil {
		return servingOnCPU(m, plan)
	}
	return servingOnGPU(m, wishes[plan.Engine], plan)
}

// layoutOf is how a plan spreads its model.
func layoutOf(plan model.Plan) layout {
	g := plan.GPU
	return layout{nodes: plan.Nodes, inside: g.Stages / plan.Nodes, tensor: g.Tensor, copies: g.Copies}
}

func servingOnGPU(m model.Model, wish model.Wish, plan model.Plan) []Term {
	g, l := plan.GPU, layoutOf(plan)
	all := model.Bytes(l.all())
	m, _ = Bounded(m)
	fit, cost := fitGPUs(m, wish, g.Each, l), costOn(m, wish, l)
	usable := model.Bytes(float64(g.Each*visiblePercent/100) * g.Utilisation)
	weights, overhead, adapters := fit.memory.Weights/all, fit.memory.Overhead/all, fit.memory.Adapters/all
	var terms []Term
	if l.stages() > 1 {
		terms = append(terms, Term{
			Name: "layers", Count: stageLayers(m, l.stages()), Unit: "of a stage",
			How: fmt.Sprintf("%d layers / %d stages, those of the fullest; %d of %d nodes", m.Layers, l.stages(), l.inside, l.nodes),
		})
	}
	terms = append(
		terms,
		Term{Name: "memory of a GPU", How: "as its driver shows it, at the least", Bytes: g.Each},
		Term{Name: "usable", How: fmt.Sprintf("%d %% is visible to a program, x %.4g that vLLM may use (gpu-memory-utilization)", visiblePercent, g.Utilisation), Bytes: usable},
		Term{Name: TermWeights, How: weightsHow(m, l), Bytes: weights},
		Term{Name: TermOverhead, How: overheadHow(l), Bytes: overhead},
	)
	if adapters > 0 {
		terms = append(terms, Term{Name: TermAdapters, Bytes: adapters, How: fmt.Sprintf("%d at once of rank %d, %v each x %d of %d bytes a number",
			plan.Adapters.AtOnce, plan.Adapters.MaxRank, plan.Adapters.Each, bytesOnGPU, bytesOnCPU)})
	}
	left := usable - weights - overhead - adapters
	cache := fit.memory.KVCache / all
	terms = append(
		terms,
		Term{Name: "left", How: "usable less the parts above", Bytes: left},
		Term{Name: "a token", How: perTokenHow(m, wish, l), Bytes: cost.inAll()},
		Term{Name: TermAllTokens, How: fmt.Sprintf("%d %% of what is left / a token, in blocks of %d", cachePercent, cacheBlock), Count: fit.tokens, Unit: "tokens"},
		Term{Name: TermKVCache, How: "those tokens x a token", Bytes: cache},
	)
	_, windowed, _ := stageKeeps(m, l.stages())
	if how := requestHow(m, cost, windowed); how != "" {
		terms = append(terms, Term{Name: "a whole context", How: how, Bytes: cost.of(plan.Context)})
	}
	if l.copies > 1 {
		terms = append(terms, Term{Name: "copies", How: "each with a cache of its own", Count: l.copies, Unit: "copies"})
	}
	return append(
		terms,
		Term{Name: "context", How: contextHow(m, wish), Count: plan.Context, Unit: "tokens"},
		Term{Name: "at once", How: slotsHow(wish, l), Count: plan.Slots, Unit: "requests"},
		Term{Name: TermTotal, How: totalHow(l), Bytes: g.Memory.Total()},
	)
}

func totalHow(l layout) string {
	switch {
	case l.nodes > 1:
		return fmt.Sprintf("(weights + overhead + adapters + KV cache) x %d GPUs on each of %d nodes, in whole MiB", l.gpus(), l.nodes)
	case l.gpus() > 1:
		return fmt.Sprintf("(weights + overhead + adapters + KV cache) x %d GPUs, in whole MiB", l.gpus())
	}
	return "weights + overhead + adapters + KV cache, in whole MiB"
}

func weightsHow(m model.Model, l layout) string {
	size := m.Forms[model.FormHF].Size
	if l.stages() == 1 {
		return fmt.Sprintf("%d bytes of files x %d %%%s", size, weightsPercent, shared(l.tensor))
	}
	return fmt.Sprintf("%d bytes of %d bytes of files, with an end and %d %% for uneven layers, x %d %%%s",
		stageWeights(m, l.stages()), size, unevenPercent, weightsPercent, shared(l.tensor))
}

func shared(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(" / %d GPUs", n)
}

func overheadHow(l layout) string {
	parts := []string{fmt.Sprintf("CUDA context, activations and CUDA graphs: %v", gpuOverhead)}
	if l.tensor > 1 || l.copies > 1 {
		parts = append(parts, fmt.Sprintf("to share layers: %v", shareOverhead))
	}
	if l.stages() > 1 {
		parts = append(parts, fmt.Sprintf("to hand tokens to the next stage: %v", stageOverhead))
	}
	if len(parts) == 1 {
		return "CUDA context, activations of a batch and CUDA graphs"
	}
	return strings.Join(parts, "; ")
}

func perTokenHow(m model.Model, wish model.Wish, l layout) string {
	bits, index := cacheBits(m, wish), ""
	full, windowed, _ := stageKeeps(m, l.stages())
	layers := full + windowed
	if m.Attention.IndexBytes > 0 {
		index = fmt.Sprintf(" and an index of %d bytes", m.Attention.IndexBytes)
	}
	if m.Attention.Kind == model.AttentionLatent {
		return fmt.Sprintf("of context, whole on each GPU: %d layers x %d latent and %d rotary numbers of %d bits%s", layers, m.Attention.Latent, m.Attention.Rope, bits, index)
	}
	return fmt.Sprintf("of context on each GPU: key and value x %d layers x %d KV heads%s x %d numbers of %d bits%s", layers, m.KVHeads, shared(l.tensor), m.HeadDim, bits, index)
}

// requestHow says what a request takes besides so many times a token, or nothing.
func requestHow(m model.Model, cost cacheCost, windowed int) string {
	switch {
	case cost.window > 0:
		return fmt.Sprintf("%d of the layers let tokens go beyond %d: a window of %d and a step of %d", windowed, cost.window, m.Attention.Window, batchedTokens)
	case cost.state > 0:
		return fmt.Sprintf("its tokens, and %v that the layers keep that do not attend", cost.state)
	}
	return ""
}

func contextHow(m model.Model, wish model.Wish) string {
	if wish.Context > 0 {
		return "as asked for"
	}
	return fmt.Sprintf("the model's %d, or as many tokens as the cache has", m.Context)
}

func slotsHow(wish model.Wish, l layout) string {
	switch {
	case wish.Slots > 0:
		return "as asked for"
	case l.copies > 1:
		return fmt.Sprintf("tokens in the caches of %d copies / %d of a usual request, at most %d each", l.copies, usualRequest, mostSlots)
	}
	return fmt.Sprintf("tokens in the cache / %d of a usual request, at most %d", usualRequest, mostSlots)
}

func servingOnCPU(m model.Model, plan model.Plan) []Term {
	p := plan.Memory
	m, _ = Bounded(m)
	terms := []Term{
		{Name: TermWeights, How: "bytes of the GGUF file", Bytes: p.Weights},
		{Name: "a token", How: fmt.Sprintf("of context: key and value x %d layers x %d KV heads x %d numbers of 16 bits", m.Layers, m.KVHeads, m.HeadDim), Bytes: m.KVBytesPerToken()},
		{Name: TermAllTokens, How: fmt.Sprintf("context of %d x %d requests at once", plan.Context, plan.Slots), Count: plan.Context * plan.Slots, Unit: "tokens"},
		{Name: TermKVCache, How: "those tokens x a token", Bytes: p.KVCache},
		{Name: TermPrompts, How: "finished conversations, kept for their next turn", Bytes: p.PromptCache},
	}
	if p.Adapters > 0 {
		terms = append(terms, Term{Name: TermAdapters, How: fmt.Sprintf("%d of rank %d in numbers of %d bytes", len(plan.Adapters.Ranks), plan.Adapters.MaxRank, bytesOnCPU), Bytes: p.Adapters})
	}
	return append(
		terms,
		Term{Name: TermOverhead, How: fmt.Sprintf("llama-server %v, runner %v", engineOverhead, runnerOverhead), Bytes: p.Overhead},
		Term{Name: TermTotal, How: "the parts in memory above, in whole MiB", Bytes: p.Total()},
		Term{Name: "cores", How: fmt.Sprintf("one for each %v of weights, from 1 to %d, or what the node has", weightsPerCore, mostCores), Count: int(plan.CPU), Unit: "thousandths"},
	)
}

// CacheTokens is how many tokens the KV cache of a plan holds, over all requests and in all
// layers; layers with a window keep fewer, so a request may be longer.
func CacheTokens(m model.Model, wishes model.Wishes, plan model.Plan) int {
	if plan.GPU == nil {
		return plan.Context * plan.Slots
	}
	m, _ = Bounded(m)
	l := layoutOf(plan)
	return fitGPUs(m, wishes[plan.Engine], plan.GPU.Each, l).tokens * l.copies
}

// Requests is how many requests the KV cache of a plan holds at once: of usual length, or
// of the whole context where that is shorter.
func Requests(m model.Model, wishes model.Wishes, plan model.Plan) int {
	if plan.GPU == nil {
		return plan.Slots
	}
	m, _ = Bounded(m)
	return fitGPUs(m, wishes[plan.Engine], plan.GPU.Each, layoutOf(plan)).requests
}

// RequestTokens is how long a usual request is.
func RequestTokens(plan model.Plan) int { return min(plan.Context, usualRequest) }

// Training is the arithmetic of a plan for a training.
func Training(m model.Model, plan model.TunePlan) []Term {
	load, p := plan.Load, plan.Memory
	if plan.GPU != nil {
		p = plan.GPU.Memory
	}
	kept := "kept for the backward pass"
	if plan.Recompute {
		kept = "computed again, one block at a time (gradient checkpointing)"
	}
	terms := []Term{
		{Name: TermWeights, How: fmt.Sprintf("%d parameters, those of linear layers at %d bits", parameters(m), load.Bits), Bytes: p.Weights},
		{Name: "adapter", How: fmt.Sprintf("%d weights of rank %d x %d bytes: weight, gradient and two moments", m.AdapterParameters(load.Rank, load.Targets), load.Rank, adapterBytes), Bytes: p.Adapter},
		{Name: "activations", How: fmt.Sprintf("%d rows x %d tokens x %d layers, %s", load.Batch, load.Length, m.Layers, kept), Bytes: p.Activations},
		{Name: "scores", How: fmt.Sprintf("%d rows x %d tokens x %d words x %d bytes x %d %%", load.Batch, load.Length, m.Vocabulary, logitBytes, slackPercent), Bytes: p.Logits},
		{Name: TermOverhead, How: trainingOverheadHow(plan), Bytes: p.Overhead},
	}
	return append(terms, Term{Name: TermTotal, How: "the parts above, in whole MiB", Bytes: p.Total()})
}

func trainingOverheadHow(plan model.TunePlan) string {
	if plan.GPU != nil {
		return "CUDA context, workspaces, buffers of widened weights"
	}
	return "Python libraries, runner, and the model's files while they are read"
}
