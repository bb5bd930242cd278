package estimate

import (
	"fmt"

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

func servingOnGPU(m model.Model, wish model.Wish, plan model.Plan) []Term {
	g, n := plan.GPU, plan.GPU.Count
	all := model.Bytes(n)
	m, _ = Bounded(m)
	fit, cost := fitGPUs(m, wish, g.Each, n), costOn(m, wish, n)
	usable := model.Bytes(float64(g.Each*visiblePercent/100) * g.Utilisation)
	weights, overhead, adapters := fit.memory.Weights/all, fit.memory.Overhead/all, fit.memory.Adapters/all
	terms := []Term{
		{Name: "memory of a GPU", How: "as its driver shows it, at the least", Bytes: g.Each},
		{Name: "usable", How: fmt.Sprintf("%d %% is visible to a program, x %.4g that vLLM may use (gpu-memory-utilization)", visiblePercent, g.Utilisation), Bytes: usable},
		{Name: TermWeights, How: fmt.Sprintf("%d bytes of files x %d %%%s", m.Forms[model.FormHF].Size, weightsPercent, shared(n)), Bytes: weights},
		{Name: TermOverhead, How: overheadHow(n), Bytes: overhead},
	}
	if adapters > 0 {
		terms = append(terms, Term{Name: TermAdapters, Bytes: adapters, How: fmt.Sprintf("%d at once of rank %d, %v each x %d of %d bytes a number",
			plan.Adapters.AtOnce, plan.Adapters.MaxRank, plan.Adapters.Each, bytesOnGPU, bytesOnCPU)})
	}
	left := usable - weights - overhead - adapters
	cache := fit.memory.KVCache / all
	terms = append(
		terms,
		Term{Name: "left", How: "usable less the parts above", Bytes: left},
		Term{Name: "a token", How: perTokenHow(m, wish, n), Bytes: cost.inAll()},
		Term{Name: TermAllTokens, How: fmt.Sprintf("%d %% of what is left / a token, in blocks of %d", cachePercent, cacheBlock), Count: fit.tokens, Unit: "tokens"},
		Term{Name: TermKVCache, How: "those tokens x a token", Bytes: cache},
	)
	if how := requestHow(m, cost); how != "" {
		terms = append(terms, Term{Name: "a whole context", How: how, Bytes: cost.of(plan.Context)})
	}
	terms = append(
		terms,
		Term{Name: "context", How: contextHow(m, wish), Count: plan.Context, Unit: "tokens"},
		Term{Name: "at once", How: slotsHow(wish), Count: plan.Slots, Unit: "requests"},
	)
	if n > 1 {
		terms = append(terms, Term{Name: TermTotal, How: fmt.Sprintf("(weights + overhead + adapters + KV cache) x %d GPUs, in whole MiB", n), Bytes: g.Memory.Total()})
		return terms
	}
	return append(terms, Term{Name: TermTotal, How: "weights + overhead + adapters + KV cache, in whole MiB", Bytes: g.Memory.Total()})
}

func shared(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(" / %d GPUs", n)
}

func overheadHow(n int) string {
	if n == 1 {
		return "CUDA context, activations of a batch and CUDA graphs"
	}
	return fmt.Sprintf("CUDA context, activations and CUDA graphs: %v; to share layers: %v", gpuOverhead, shareOverhead)
}

func perTokenHow(m model.Model, wish model.Wish, n int) string {
	bits, index := cacheBits(m, wish), ""
	if m.Attention.IndexBytes > 0 {
		index = fmt.Sprintf(" and an index of %d bytes", m.Attention.IndexBytes)
	}
	if m.Attention.Kind == model.AttentionLatent {
		return fmt.Sprintf("of context, whole on each GPU: %d layers x %d latent and %d rotary numbers of %d bits%s", m.KVLayers(), m.Attention.Latent, m.Attention.Rope, bits, index)
	}
	return fmt.Sprintf("of context on each GPU: key and value x %d layers x %d KV heads%s x %d numbers of %d bits%s", m.KVLayers(), m.KVHeads, shared(n), m.HeadDim, bits, index)
}

// requestHow says what a request takes besides so many times a token, or nothing.
func requestHow(m model.Model, cost cacheCost) string {
	switch {
	case cost.window > 0:
		return fmt.Sprintf("%d of the layers let tokens go beyond %d: a window of %d and a step of %d", m.Attention.WindowLayers, cost.window, m.Attention.Window, batchedTokens)
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

func slotsHow(wish model.Wish) string {
	if wish.Slots > 0 {
		return "as asked for"
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
	return fitGPUs(m, wishes[plan.Engine], plan.GPU.Each, plan.GPU.Count).tokens
}

// Requests is how many requests the KV cache of a plan holds at once: of usual length, or
// of the whole context where that is shorter.
func Requests(m model.Model, wishes model.Wishes, plan model.Plan) int {
	if plan.GPU == nil {
		return plan.Slots
	}
	m, _ = Bounded(m)
	return fitGPUs(m, wishes[plan.Engine], plan.GPU.Each, plan.GPU.Count).requests
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
