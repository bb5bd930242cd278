package estimate_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

// anyModel is a random model of any kind of attention, of which some facts are not known.
func anyModel(r *rand.Rand) model.Model {
	kv := 1 + r.IntN(16)
	m := model.Model{
		ID: "m", Context: 1 + r.IntN(1<<18), Layers: 1 + r.IntN(100), KVHeads: kv, Heads: kv * (1 + r.IntN(8)), HeadDim: 1 + r.IntN(256), Hidden: 64 + r.IntN(1<<13),
		Forms: map[model.Form]model.Weights{model.FormHF: {Size: model.Bytes(1 + r.Int64N(1<<38))}},
	}
	if r.IntN(2) == 0 {
		m.Architectures = []string{"LlamaForCausalLM"} // its layers can be spread over nodes
	}
	if r.IntN(3) == 0 {
		m.Vocabulary = 1 + r.IntN(1<<18)
	}
	switch r.IntN(4) {
	case 1:
		m.Attention = model.Attention{Kind: model.AttentionLatent, Latent: 64 + r.IntN(1024), Rope: 1 + r.IntN(128)}
	case 2:
		m.Attention = model.Attention{Kind: model.AttentionSliding, Window: r.IntN(8192), WindowLayers: r.IntN(m.Layers + 1)}
	case 3:
		m.Attention = model.Attention{Kind: model.AttentionHybrid, Layers: r.IntN(m.Layers + 1), State: model.Bytes(r.Int64N(1 << 28))}
	}
	if r.IntN(4) == 0 {
		m.Attention.Indexed, m.Attention.IndexBytes = true, r.IntN(256)
	}
	for _, forget := range []func(){
		func() { m.KVHeads = 0 }, func() { m.HeadDim = 0 }, func() { m.Heads, m.KVHeads = 0, 0 }, func() { m.Layers, m.Attention = 0, model.Attention{} }, func() { m.Hidden = 0 },
	} {
		if r.IntN(10) == 0 {
			forget()
		}
	}
	return m
}

// least is the least that one request of a context takes of the cache of n GPUs that share
// layers, counted layer by layer, without the blocks and steps that an engine adds. Stages
// change nothing: each layer stands on one of them.
func least(m model.Model, bits, n, context int) model.Bytes {
	m, _ = estimate.Bounded(m)
	a := m.Attention
	all := a.State
	for layer := range m.KVLayers() {
		kept, bytes := context, 0
		if layer < a.WindowLayers {
			kept = min(context, a.Window)
		}
		if a.Kind == model.AttentionLatent {
			bytes = (a.Latent + a.Rope) * bits / 8
		} else {
			bytes = 2 * m.HeadDim * bits / 8 * max(1, m.KVHeads/n)
		}
		all += model.Bytes(kept) * model.Bytes(bytes+a.IndexBytes)
	}
	return all * model.Bytes(n)
}

// laws asks what must hold of every model, GPU and wish.
type laws struct {
	t *testing.T
	r *rand.Rand
	// plans is how many plans were looked at, spread how many of those over several nodes,
	// copied how many with copies.
	plans, spread, copied int
}

func TestLawsOfEveryAttention(t *testing.T) {
	t.Parallel()
	l := &laws{t: t, r: rand.New(rand.NewPCG(5, 6))}
	for range 20000 {
		m, node := anyModel(l.r), gpuNode(1+l.r.IntN(8), "X", 1+l.r.Int64N(200000), 9, 0)
		wish := model.Wish{Context: 1 + l.r.IntN(m.Context)}
		p, err := estimate.OnGPU(m, wish, node)
		if err == nil {
			l.plans++
			l.holds(m, node, p)
		}
		l.moreMemory(m, wish, node, p, err)
		l.longerContext(m, wish, node, p, err)
		l.quantised(m, wish, node, p, err)
		l.freeContext(m, node)
		l.held(m, wish, node, p, err)
	}
	if l.plans < 2000 || l.spread < 500 || l.copied < 100 {
		t.Errorf("only %d plans were made, %d for several nodes and %d with copies: the laws were hardly asked", l.plans, l.spread, l.copied)
	}
}

// holds: a plan always holds the weights and one request of the whole context, within the GPUs.
func (l *laws) holds(m model.Model, node model.NodeShape, p model.Plan) {
	g, n := p.GPU, p.AllGPUs()
	if p.Nodes > 1 {
		l.spread++
	}
	copies := model.Bytes(g.Copies)
	if g.Memory.Weights < m.Forms[model.FormHF].Size*copies || g.Memory.KVCache < least(m, 16, g.Tensor, p.Context)*copies {
		l.t.Fatalf("plan %+v with a context of %d does not hold %+v, which takes %d bytes of cache", g, p.Context, m, least(m, 16, g.Tensor, p.Context))
	}
	if g.Memory.Total() > node.GPUs.Memory*model.Bytes(n) || p.GPUs() > node.GPUs.Count || p.Slots < 1 {
		l.t.Fatalf("plan %+v is beyond the GPUs of %+v", g, node)
	}
	if g.Tensor*g.Stages*g.Copies != n || g.Stages%p.Nodes != 0 || p.Nodes > 1 && (g.Copies > 1 || len(m.Architectures) == 0) {
		l.t.Fatalf("%d nodes with %d GPUs each do not make plan %+v of %+v", p.Nodes, p.GPUs(), g, m)
	}
	if low := len(p.Assumed) > 0; low != (p.Confidence == model.ConfidenceLow) || p.Confidence == "" {
		l.t.Fatalf("confidence %q with %q assumed", p.Confidence, p.Assumed)
	}
	l.stages(m, p)
}

// partition is vLLM's: what remains goes one by one to stages before the last
// (vllm/distributed/utils.py, get_pp_indices).
func partition(layers, stages int) []int {
	all := make([]int, stages)
	for i := range all {
		all[i] = layers / stages
	}
	for i := range layers % stages {
		all[stages-2-i]++
	}
	return all
}

// stages: what vLLM puts on each stage fits there, whatever of the weights are the words at
// the ends and wherever the layers stand that keep less.
func (l *laws) stages(m model.Model, p model.Plan) {
	g := p.GPU
	if g.Stages == 1 {
		return
	}
	has := func(all model.Bytes) model.Bytes { return all / model.Bytes(p.AllGPUs()) }
	known := m
	m, _ = estimate.Bounded(m)
	words := model.Bytes(1+l.r.IntN(1<<18)) * 2
	if known.Vocabulary > 0 {
		words = model.Bytes(known.Vocabulary) * 2
	}
	end := min(words*model.Bytes(m.Hidden), m.Forms[model.FormHF].Size/2)
	each := (m.Forms[model.FormHF].Size - 2*end) / model.Bytes(m.Layers)
	kinds := l.kinds(m)
	at := 0
	for i, n := range partition(m.Layers, g.Stages) {
		weights, kept := each*model.Bytes(n), model.Bytes(0)
		if i == 0 || i == g.Stages-1 {
			weights += end
		}
		for _, window := range kinds[at : at+n] {
			switch {
			case window < 0: // it keeps a state
			case m.Attention.Kind == model.AttentionLatent:
				kept += model.Bytes(p.Context * ((m.Attention.Latent+m.Attention.Rope)*2 + m.Attention.IndexBytes))
			default:
				kept += model.Bytes(min(p.Context, window) * (2*m.HeadDim*2*max(1, m.KVHeads/g.Tensor) + m.Attention.IndexBytes))
			}
		}
		at += n
		if weights > has(g.Memory.Weights)*model.Bytes(g.Tensor) || kept > has(g.Memory.KVCache) {
			l.t.Fatalf("stage %d of %v holds %d bytes of weights and keeps %d of a context of %d, and the plan %+v of %+v has less", i, partition(m.Layers, g.Stages), weights, kept, p.Context, g, m)
		}
	}
}

// kinds is how many tokens each layer keeps, kinds taking turns evenly; negative is none.
func (l *laws) kinds(m model.Model) []int {
	all := make([]int, m.Layers)
	rare, kept := m.KVLayers(), -1
	if m.Attention.WindowLayers > 0 {
		rare, kept = m.Layers-m.Attention.WindowLayers, m.Attention.Window
	}
	shift := l.r.IntN(m.Layers)
	for i := range all {
		all[i] = kept
		if (i+shift)*rare/m.Layers != (i+shift+1)*rare/m.Layers {
			all[i] = m.Context
		}
	}
	return all
}

// moreMemory never needs more nodes, nor on as many more GPUs, and never holds fewer requests.
func (l *laws) moreMemory(m model.Model, wish model.Wish, node model.NodeShape, p model.Plan, unfit error) {
	node.GPUs.Memory += model.Bytes(l.r.Int64N(1 << 34))
	more, err := estimate.OnGPU(m, wish, node)
	if unfit == nil && (err != nil || larger(more, p) || more.AllGPUs() == p.AllGPUs() && more.Nodes == p.Nodes && more.Slots < p.Slots) {
		l.t.Fatalf("%+v with more memory: %v, %d nodes with %d GPUs and %d slots instead of %d, %d and %d", m, err, more.Nodes, more.GPUs(), more.Slots, p.Nodes, p.GPUs(), p.Slots)
	}
}

// larger is true of a plan with more nodes than another, or with as many that use more GPUs.
func larger(a, b model.Plan) bool {
	return a.Nodes > b.Nodes || a.Nodes == b.Nodes && a.GPUs() > b.GPUs()
}

// held: a plan holds the requests that it was asked for, on one node as on several, and needs
// no more GPUs for fewer; copies are on one node, and each holds the context.
func (l *laws) held(m model.Model, wish model.Wish, node model.NodeShape, p model.Plan, unfit error) {
	wish.Slots, wish.Held = 1+l.r.IntN(300), true
	held, err := estimate.OnGPU(m, wish, node)
	var short *estimate.RequestsError
	switch {
	case unfit != nil:
		if err == nil {
			l.t.Fatalf("%+v holds %d requests and no one: %v", m, wish.Slots, unfit)
		}
		return
	case errors.As(err, &short):
		if short.Holds >= short.Want {
			l.t.Fatalf("%+v: %v", m, err)
		}
		return
	case err != nil:
		return // the node lacks something else
	}
	if held.GPU.Copies > 1 {
		l.copied++
	}
	l.holds(m, node, held)
	has := estimate.Requests(m, model.Wishes{"vllm": wish}, held)
	if held.Slots != wish.Slots || has < wish.Slots || held.Nodes != p.Nodes || held.GPUs() < p.GPUs() {
		l.t.Fatalf("%+v: asked to hold %d, %d are held by %+v", m, wish.Slots, has, held)
	}
	fewer := wish
	fewer.Slots = 1 + l.r.IntN(wish.Slots)
	if less, err := estimate.OnGPU(m, fewer, node); err != nil || larger(less, held) {
		l.t.Fatalf("%+v: %d requests take more GPUs than %d: %v", m, fewer.Slots, wish.Slots, err)
	}
}

// longerContext never needs less: a shorter one fits where a longer does, on no more GPUs.
func (l *laws) longerContext(m model.Model, wish model.Wish, node model.NodeShape, p model.Plan, unfit error) {
	shorter, err := estimate.OnGPU(m, model.Wish{Context: 1 + l.r.IntN(wish.Context)}, node)
	l.never("a shorter context", m, shorter, err, p, unfit)
}

// quantised never needs more: neither weights of half the size nor a cache of half the bits.
func (l *laws) quantised(m model.Model, wish model.Wish, node model.NodeShape, p model.Plan, unfit error) {
	lighter := m
	lighter.Forms = map[model.Form]model.Weights{model.FormHF: {Size: max(1, m.Forms[model.FormHF].Size/2)}}
	small, err := estimate.OnGPU(lighter, wish, node)
	l.never("half the weights", m, small, err, p, unfit)
	wish.CacheBits = 8
	small, err = estimate.OnGPU(m, wish, node)
	l.never("a cache of 8 bits", m, small, err, p, unfit)
	if err == nil && small.GPU.Memory.KVCache < least(m, 8, small.GPU.Tensor, small.Context) {
		l.t.Fatalf("plan %+v of %+v does not hold a context of %d at 8 bits", small.GPU, m, small.Context)
	}
}

// freeContext: what the planner offers by itself can be asked for, and is the longest.
func (l *laws) freeContext(m model.Model, node model.NodeShape) {
	free, err := estimate.OnGPU(m, model.Wish{}, node)
	if err != nil {
		return
	}
	l.holds(m, node, free)
	asked, err := estimate.OnGPU(m, model.Wish{Context: free.Context}, node)
	if err != nil || asked.Context != free.Context {
		l.t.Fatalf("%+v: asking for the %d that fit: %v", m, free.Context, err)
	}
	if free.Context == m.Context {
		return
	}
	if longer, err := estimate.OnGPU(m, model.Wish{Context: free.Context + 16}, node); err == nil && longer.Nodes == free.Nodes && free.Context+16 <= m.Context {
		l.t.Fatalf("%+v: %d fit and the planner offered %d", m, longer.Context, free.Context)
	}
}

// never compares the plan of something smaller with that of something larger.
func (l *laws) never(what string, m model.Model, small model.Plan, err error, large model.Plan, unfit error) {
	var a, b *estimate.GPUsTooSmallError
	switch {
	case unfit == nil && (err != nil || larger(small, large)):
		l.t.Fatalf("%s of %+v: %v, %d nodes with %d GPUs instead of %d with %d", what, m, err, small.Nodes, small.GPUs(), large.Nodes, large.GPUs())
	case errors.As(err, &a) && errors.As(unfit, &b) && a.GPUs == b.GPUs && a.Nodes == b.Nodes && a.Need > b.Need:
		l.t.Fatalf("%s of %+v needs %d bytes instead of %d", what, m, a.Need, b.Need)
	}
}
