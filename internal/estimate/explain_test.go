package estimate_test

import (
	"fmt"
	"testing"

	"kaito.sh/kaito/catalog"
	models "kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

// TestArithmeticIsThePlans adds the terms up again, for every model on GPUs of several
// sizes and on a CPU: an explanation that drifts from the planner fails.
func TestArithmeticIsThePlans(t *testing.T) {
	t.Parallel()
	all, err := models.Load(catalog.Files)
	if err != nil {
		t.Fatal(err)
	}
	shapes := []model.NodeShape{{Name: "cpu", CPU: 8 * model.Core, Memory: 64 * model.GiB}}
	for _, gib := range []float64{16, 24, 80} {
		for _, n := range []int{1, 2, 4, 8} {
			shapes = append(shapes, model.NodeShape{Name: fmt.Sprintf("%dx%v", n, gib), CPU: 96 * model.Core, Memory: 900 * model.GiB, GPUs: model.GPUs{
				Count: n, Product: "card", Memory: model.Nominal(gib), Capability: model.Capability{Major: 9},
			}})
		}
	}
	wishes := map[string]model.Wishes{
		"no wishes": {},
		"a context": {"vllm": {Context: 1000, Slots: 3}, "llamacpp": {Context: 1000, Slots: 3}},
		"requests":  {"vllm": {Context: 1000, Slots: 300, Held: true}},
		"adapters":  {"vllm": {CacheBits: 8, Adapters: model.Adapters{Ranks: []int{8, 16}}}, "llamacpp": {Adapters: model.Adapters{Ranks: []int{8, 16}}}},
	}
	compared := 0
	for _, id := range all.IDs() {
		m, _ := all.Lookup(id)
		for name, wish := range wishes {
			for _, shape := range shapes {
				plan, err := estimate.OnNode(m, wish, shape)
				if err != nil {
					continue
				}
				compared++
				sameParts(t, fmt.Sprintf("%s on %s with %s", id, shape.Name, name), plan, estimate.Serving(m, wish, plan))
			}
		}
	}
	if compared < 50 {
		t.Errorf("only %d plans were compared", compared)
	}
}

func sameParts(t *testing.T, what string, plan model.Plan, terms []estimate.Term) {
	t.Helper()
	parts, n := plan.Memory, model.Bytes(1)
	if plan.GPU != nil {
		parts, n = plan.GPU.Memory, model.Bytes(plan.AllGPUs())
	}
	got := map[string]estimate.Term{}
	for _, term := range terms {
		got[term.Name] = term
	}
	for name, want := range map[string]model.Bytes{
		estimate.TermWeights: parts.Weights, estimate.TermKVCache: parts.KVCache, estimate.TermOverhead: parts.Overhead,
		estimate.TermAdapters: parts.Adapters, estimate.TermPrompts: parts.PromptCache,
	} {
		if got[name].Bytes*n != want {
			t.Errorf("%s: %s is %d on each of %d, the plan says %d", what, name, got[name].Bytes, n, want)
		}
	}
	if got[estimate.TermTotal].Bytes != parts.Total() {
		t.Errorf("%s: the total is %v, the plan's %v", what, got[estimate.TermTotal].Bytes, parts.Total())
	}
	perToken, tokens := got["a token"].Bytes, got[estimate.TermAllTokens].Count
	if cache := perToken * model.Bytes(tokens); cache != got[estimate.TermKVCache].Bytes {
		t.Errorf("%s: %d tokens of %d bytes are not the cache of %d", what, tokens, perToken, got[estimate.TermKVCache].Bytes)
	}
	if tokens < plan.Context {
		t.Errorf("%s: the cache holds %d tokens, the context is %d", what, tokens, plan.Context)
	}
	if left, ok := got["left"]; ok && left.Bytes < got[estimate.TermKVCache].Bytes {
		t.Errorf("%s: the cache of %v is more than what is left, %v", what, got[estimate.TermKVCache].Bytes, left.Bytes)
	}
}
