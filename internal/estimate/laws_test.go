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

// least is the least that one request of a context takes of the cache of n GPUs, counted
// layer by layer, without the blocks and steps that an engine adds.
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
	// plans is how many plans were looked at.
	plans int
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
	}
	if l.plans < 2000 {
		t.Errorf("only %d plans were made: the laws were hardly asked", l.plans)
	}
}

// holds: a plan always holds the weights and one request of the whole context, within the GPUs.
func (l *laws) holds(m model.Model, node model.NodeShape, p model.Plan) {
	n := p.GPUs()
	if p.GPU.Memory.Weights < m.Forms[model.FormHF].Size || p.GPU.Memory.KVCache < least(m, 16, n, p.Context) {
		l.t.Fatalf("plan %+v with a context of %d does not hold %+v, which takes %d bytes of cache", p.GPU, p.Context, m, least(m, 16, n, p.Context))
	}
	if p.GPU.Memory.Total() > node.GPUs.Memory*model.Bytes(n) || n > node.GPUs.Count || p.Slots < 1 {
		l.t.Fatalf("plan %+v is beyond the GPUs of %+v", p.GPU, node)
	}
	if low := len(p.Assumed) > 0; low != (p.Confidence == model.ConfidenceLow) || p.Confidence == "" {
		l.t.Fatalf("confidence %q with %q assumed", p.Confidence, p.Assumed)
	}
}

// moreMemory never needs more GPUs or nodes, and never holds fewer requests.
func (l *laws) moreMemory(m model.Model, wish model.Wish, node model.NodeShape, p model.Plan, unfit error) {
	node.GPUs.Memory += model.Bytes(l.r.Int64N(1 << 34))
	more, err := estimate.OnGPU(m, wish, node)
	if unfit == nil && (err != nil || more.GPUs() > p.GPUs() || more.Nodes > p.Nodes || more.GPUs() == p.GPUs() && more.Slots < p.Slots) {
		l.t.Fatalf("%+v with more memory: %v, %d GPUs and %d slots instead of %d and %d", m, err, more.GPUs(), more.Slots, p.GPUs(), p.Slots)
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
	if err == nil && small.GPU.Memory.KVCache < least(m, 8, small.GPUs(), small.Context) {
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
	if longer, err := estimate.OnGPU(m, model.Wish{Context: free.Context + 16}, node); err == nil && free.Context+16 <= m.Context {
		l.t.Fatalf("%+v: %d fit and the planner offered %d", m, longer.Context, free.Context)
	}
}

// never compares the plan of something smaller with that of something larger.
func (l *laws) never(what string, m model.Model, small model.Plan, err error, large model.Plan, unfit error) {
	var a, b *estimate.GPUsTooSmallError
	switch {
	case unfit == nil && (err != nil || small.GPUs() > large.GPUs()):
		l.t.Fatalf("%s of %+v: %v, %d GPUs instead of %d", what, m, err, small.GPUs(), large.GPUs())
	case errors.As(err, &a) && errors.As(unfit, &b) && a.GPUs == b.GPUs && a.Need > b.Need:
		l.t.Fatalf("%s of %+v needs %d bytes instead of %d", what, m, a.Need, b.Need)
	}
}
