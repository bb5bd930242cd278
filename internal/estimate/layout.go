package estimate

import "kaito.sh/kaito/internal/model"

// layout is how a model is spread over GPUs: over nodes that are alike, on each over stages,
// each of them shared by some GPUs; or, on one node, several copies beside each other.
type layout struct{ nodes, inside, tensor, copies int }

// stages is into how many parts the layers are cut.
func (l layout) stages() int { return l.nodes * l.inside }

// gpus is how many GPUs of each node are used, all on all nodes.
func (l layout) gpus() int { return l.inside * l.tensor * l.copies }
func (l layout) all() int  { return l.nodes * l.gpus() }

// layouts are the ways to spread one copy over so many nodes with so many GPUs each, the
// fewest GPUs first: their number is a power of two. Layers are shared by as many as the
// heads allow, because all of those work at every token; what remains of a node takes
// further stages.
func layouts(m model.Model, wish model.Wish, nodes, most int) []layout {
	var all []layout
	add := func(l layout) {
		if l.stages() == 1 || l.stages() <= m.Layers && pipelines(m) {
			all = append(all, l)
		}
	}
	copies := max(1, wish.Copies)
	if copies > 1 && nodes > 1 {
		return nil // copies stand on one node
	}
	if wish.GPUs > 0 {
		add(layout{nodes: nodes, inside: 1, tensor: wish.GPUs, copies: copies})
		return all
	}
	tensor := 1
	for n := 1; n*copies <= most; n *= 2 {
		if divides(m, n) {
			tensor = n
		}
		add(layout{nodes: nodes, inside: n / tensor, tensor: tensor, copies: copies})
	}
	return all
}

// tensors are the numbers of GPUs that can share each layer, from 1 up. Powers of two: other
// sizes that vLLM cuts evenly, such as those of the layers between, are no facts that we have.
func tensors(m model.Model, most int) []int {
	counts := []int{1}
	for n := 2; n <= most; n *= 2 {
		if divides(m, n) {
			counts = append(counts, n)
		}
	}
	return counts
}

// divides is vLLM's rule: each GPU has the same number of heads, and either the same
// number of KV heads or a copy of one. Latent attention has no KV heads to share. Experts
// are dealt out whole where the catalog says so, each GPU as many.
func divides(m model.Model, n int) bool {
	if n == 1 {
		return true
	}
	if wholeExperts(m) && m.Experts > 0 && m.Experts%n != 0 {
		return false
	}
	return m.Heads > 0 && m.Heads%n == 0 && (m.Attention.Kind == model.AttentionLatent || m.KVHeads%n == 0 || n%m.KVHeads == 0)
}

// wholeExperts is true of a model that the catalog has served with expert parallelism: its
// experts are too narrow to be cut.
func wholeExperts(m model.Model) bool { return m.VLLM["enable-expert-parallel"] == "true" }

// expertParallel says whether GPUs that work together shall have whole experts each. Beyond
// what the catalog says: copies of a model with experts share those of each layer between
// them in any case, and cut by all GPUs of a node they may become narrower than the blocks
// of their quantisation. The number must be known to divide, and vLLM has no adapters with it.
func expertParallel(m model.Model, l layout, adapters bool) bool {
	together := l.tensor * l.copies
	switch {
	case together == 1 || adapters:
		return false
	case wholeExperts(m):
		return true
	}
	return l.copies > 1 && m.Experts > 0 && m.Experts%together == 0
}

// gpuFit is what fits on the GPUs of a layout.
type gpuFit struct {
	layout
	memory  model.Memory
	context int
	// tokens is how many the cache of one copy holds in all layers.
	tokens int
	// requests is how many of usual length are held at once, by all copies.
	requests int
	// short is what is missing to hold anything at all.
	short model.Bytes
}

// holds says whether there is room for all requests for which room was asked.
func (f gpuFit) holds(wish model.Wish) bool { return !wish.Held || f.requests >= wish.Slots }

// fitGPUs spreads a model over GPUs. All are counted like one of the fullest stage, because
// vLLM gives every stage a cache of as many tokens as the fullest has room for.
func fitGPUs(m model.Model, wish model.Wish, each model.Bytes, l layout) gpuFit {
	f, t, all := gpuFit{layout: l}, model.Bytes(l.tensor), model.Bytes(l.all())
	usable := model.Bytes(float64(each*visiblePercent/100) * utilisation(wish))
	weights := (stageWeights(m, l.stages())*weightsPercent/100 + t - 1) / t
	overhead := overheadFor(l)
	adapters := adaptersOnGPU(withAdapters(m, engineVLLM, wish.Adapters))
	left := usable - weights - overhead - adapters
	if left < 0 {
		f.short = -left * all
		left = 0
	}
	cost := costOn(m, wish, l)
	room := cost.whole(left * cachePercent / 100)
	f.tokens = int(room / cost.inAll())
	f.context = cost.longest(room, wantedContext(m, wish))
	f.requests = int(room/cost.of(min(max(1, f.context), usualRequest))) * l.copies
	f.memory = model.Memory{Weights: weights * all, KVCache: room * all, Adapters: adapters * all, Overhead: overhead * all}
	return f
}

func overheadFor(l layout) model.Bytes {
	overhead := gpuOverhead
	if l.tensor > 1 || l.copies > 1 {
		overhead += shareOverhead
	}
	if l.stages() > 1 {
		overhead += stageOverhead
	}
	return overhead
}
