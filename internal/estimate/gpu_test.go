package estimate_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

// gpuNode is a node with GPUs and enough of all else.
func gpuNode(count int, product string, mib int64, major, minor int) model.NodeShape {
	return model.NodeShape{
		Name: "gpu", CPU: 64000, Memory: 512 * model.GiB,
		GPUs: model.GPUs{
			Count: count, Product: product, Memory: model.Bytes(mib) * model.MiB, Capability: model.Capability{Major: major, Minor: minor},
			Kind: model.Label{Key: "nvidia.com/gpu.product", Value: product},
		},
	}
}

func preset(t *testing.T, name string) model.Model {
	t.Helper()
	models, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := models.Lookup(name)
	if !ok {
		t.Fatalf("no preset %q", name)
	}
	return m
}

func TestOnGPU(t *testing.T) {
	t.Parallel()
	a100, t4, l4 := gpuNode(4, "A100", 81920, 8, 0), gpuNode(4, "T4", 15360, 7, 5), gpuNode(8, "L4", 23034, 8, 9)
	for name, tc := range map[string]struct {
		model         string
		wish          model.Wish
		node          model.NodeShape
		gpus, context int
		slots         int
	}{
		"a small model fits one card with its whole context":  {"phi-4-mini-instruct", model.Wish{}, a100, 1, 131072, 208},
		"a long cache takes more cards for the whole context": {"llama-3.1-8b-instruct", model.Wish{}, t4, 4, 131072, 91},
		"the user's shorter context takes fewer cards":        {"llama-3.1-8b-instruct", model.Wish{Context: 8192}, t4, 2, 8192, 19},
		"a context that fits nowhere is what fits":            {"phi-3-mini-128k-instruct", model.Wish{}, t4, 4, 90992, 39},
		"the most context is taken where none is whole":       {"phi-3-mini-128k-instruct", model.Wish{}, gpuNode(2, "T4", 15360, 7, 5), 2, 36064, 15},
		"a large model needs several small cards":             {"qwen2.5-coder-32b-instruct", model.Wish{}, l4, 8, 32768, 128},
		"the user says over how many cards":                   {"phi-4-mini-instruct", model.Wish{GPUs: 4}, a100, 4, 131072, 256},
		"the user says how many requests":                     {"phi-4-mini-instruct", model.Wish{Slots: 7}, a100, 1, 131072, 7},
		"a cache of half the bits holds twice the tokens":     {"phi-3-mini-128k-instruct", model.Wish{CacheBits: 8}, gpuNode(2, "T4", 15360, 7, 5), 2, 72128, 31},
		"a smaller part of the memory holds less":             {"mistral-7b-instruct", model.Wish{Utilisation: 0.5}, gpuNode(1, "A100", 40960, 8, 0), 1, 25872, 11},
		"nine heads are not cut over two cards":               {"smollm2-135m-instruct", model.Wish{}, t4, 1, 8192, 208},
		"more cards than KV heads keep copies":                {"llama-3.1-8b-instruct", model.Wish{GPUs: 16}, gpuNode(16, "small", 5120, 8, 0), 16, 44080, 19},
		"a card that several pods share is counted as one":    {"phi-4-mini-instruct", model.Wish{}, gpuNode(1, "A100-SHARED", 40960, 8, 0), 1, 131072, 88},
		"eight cards are not used when one holds all of it":   {"phi-4-mini-instruct", model.Wish{}, gpuNode(8, "H100", 81559, 9, 0), 1, 131072, 207},
		"24 heads go over 8 cards, and two stages use all 16": {"phi-4-mini-instruct", model.Wish{}, gpuNode(16, "tiny", 5000, 8, 0), 16, 62944, 27},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := estimate.OnGPU(preset(t, tc.model), tc.wish, tc.node)
			if err != nil {
				t.Fatal(err)
			}
			if p.GPUs() != tc.gpus || p.Context != tc.context || p.Slots != tc.slots || p.Engine != "vllm" || p.Form != model.FormHF {
				t.Errorf("got %d GPUs, context %d, %d slots on %s with %s; want %d, %d, %d", p.GPUs(), p.Context, p.Slots, p.Engine, p.Form, tc.gpus, tc.context, tc.slots)
			}
		})
	}
}

// alone is a model of an architecture that vLLM cannot spread over nodes.
func alone(m model.Model) model.Model {
	m.Architectures = []string{"NemotronH_Nano_VL_V2"}
	return m
}

// huge is a model that no node that is sold holds.
func huge(t *testing.T) model.Model {
	t.Helper()
	m := preset(t, "deepseek-v3-0324")
	m.Forms = map[model.Form]model.Weights{model.FormHF: {Size: 1800 * model.GiB}}
	return m
}

func TestSeveralNodes(t *testing.T) {
	t.Parallel()
	h100, t4 := gpuNode(8, "H100", 81559, 9, 0), gpuNode(1, "T4", 15360, 7, 5)
	for name, tc := range map[string]struct {
		model                 string
		wish                  model.Wish
		node                  model.NodeShape
		nodes, tensor, stages int
		copies, context       int
	}{
		"a model that one node holds stays on one":            {"llama-3.3-70b-instruct", model.Wish{}, h100, 1, 4, 1, 1, 131072},
		"a model larger than a node is spread over two":       {"deepseek-v3-0324", model.Wish{}, h100, 2, 8, 2, 1, 163840},
		"layers go over many small nodes":                     {"llama-3.1-8b-instruct", model.Wish{}, t4, 2, 1, 2, 1, 23920},
		"a longer context takes more nodes":                   {"llama-3.1-8b-instruct", model.Wish{Context: 65536}, t4, 3, 1, 3, 1, 65536},
		"heads that allow two cards leave stages on one node": {"phi-3-medium-128k-instruct", model.Wish{}, gpuNode(8, "T4", 15360, 7, 5), 1, 2, 4, 1, 131072},
		"requests are held by copies, which need not talk":    {"phi-4-mini-instruct", model.Wish{Slots: 600, Held: true}, h100, 1, 1, 1, 4, 131072},
		"few requests stay on the fewest cards":               {"phi-4-mini-instruct", model.Wish{Slots: 100, Held: true}, h100, 1, 1, 1, 1, 131072},
		"wider layers hold requests that copies do not":       {"qwen2.5-coder-32b-instruct", model.Wish{Slots: 70, Held: true}, gpuNode(2, "H100", 81559, 9, 0), 1, 2, 1, 1, 32768},
		"the user says how many copies":                       {"phi-4-mini-instruct", model.Wish{Copies: 3}, h100, 1, 1, 1, 3, 131072},
		"copies of a user's are each spread as far as needed": {"llama-3.1-8b-instruct", model.Wish{Copies: 2}, gpuNode(8, "T4", 15360, 7, 5), 1, 4, 1, 2, 131072},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := estimate.OnGPU(preset(t, tc.model), tc.wish, tc.node)
			if err != nil {
				t.Fatal(err)
			}
			g := p.GPU
			if p.Nodes != tc.nodes || g.Tensor != tc.tensor || g.Stages != tc.stages || g.Copies != tc.copies || p.Context != tc.context || g.Count*p.Nodes != g.Tensor*g.Stages*g.Copies {
				t.Errorf("got %d nodes, TP %d, PP %d, DP %d and a context of %d; want %d, %d, %d, %d and %d", p.Nodes, g.Tensor, g.Stages, g.Copies, p.Context, tc.nodes, tc.tensor, tc.stages, tc.copies, tc.context)
			}
		})
	}
}

// Experts are dealt out whole where the catalog says so, and where copies share them; never
// beside adapters.
func TestWholeExperts(t *testing.T) {
	t.Parallel()
	m := preset(t, "qwen3.6-35b-a3b")
	flagged := m
	flagged.VLLM = map[string]string{"enable-expert-parallel": "true"}
	experts := func(m model.Model, n int) model.Model {
		m.Experts = n
		return m
	}
	node := gpuNode(8, "H100", 81559, 9, 0)
	adapters := model.Adapters{Ranks: []int{8}}
	for name, tc := range map[string]struct {
		model  model.Model
		wish   model.Wish
		tensor int
		whole  bool
	}{
		"nothing is known":                          {m, model.Wish{Copies: 2}, 2, false},
		"copies share experts that divide":          {experts(m, 256), model.Wish{Copies: 2}, 2, true},
		"copies do not where they do not divide":    {experts(m, 255), model.Wish{Copies: 2}, 2, false},
		"one copy cuts them":                        {experts(m, 256), model.Wish{}, 2, false},
		"the catalog says so":                       {flagged, model.Wish{}, 2, true},
		"the catalog says so, and they must divide": {experts(flagged, 129), model.Wish{}, 1, false},
		"not beside adapters":                       {flagged, model.Wish{Adapters: adapters}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := estimate.OnGPU(tc.model, tc.wish, node)
			if err != nil || p.GPU.Tensor != tc.tensor || p.GPU.Experts != tc.whole {
				t.Errorf("got %+v, %v; want TP %d and whole experts %v", p.GPU, err, tc.tensor, tc.whole)
			}
		})
	}
}

func TestBestOfSeveralNodes(t *testing.T) {
	t.Parallel()
	named := func(n model.NodeShape, names ...string) (all []model.NodeShape) {
		for _, name := range names {
			n.Name = name
			all = append(all, n)
		}
		return all
	}
	m, t4, a10 := preset(t, "llama-3.1-8b-instruct"), gpuNode(1, "T4", 15360, 7, 5), gpuNode(1, "A10", 23028, 8, 6)
	for name, tc := range map[string]struct {
		nodes []model.NodeShape
		want  string
		on    string
	}{
		"enough of a kind":                {named(t4, "a", "b", "c"), "", "a b c"},
		"too few of a kind":               {named(t4, "a"), `model "llama-3.1-8b-instruct" needs 2 nodes like "a" with 1 x T4 each, and 1 of 2 are there: add 1 more, which are picked up at once; one node is enough with 1 GPU with 24 GB, or 2 with 16 GB each`, ""},
		"one of another kind is enough":   {slices.Concat(named(t4, "a", "b"), named(a10, "z")), "", "z"},
		"nodes of two kinds are no group": {slices.Concat(named(t4, "a"), named(gpuNode(1, "P40", 15360, 7, 5), "b")), `1 of 2 are there`, ""},
		"the kind that lacks the least":   {slices.Concat(named(gpuNode(1, "tiny", 7000, 8, 0), "a"), named(t4, "b")), `needs 2 nodes like "b"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, on, err := estimate.Best(m, nil, tc.nodes)
			if tc.want != "" {
				var few *estimate.TooFewNodesError
				if !errors.As(err, &few) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil || strings.Join(on, " ") != tc.on || len(on) < p.Nodes {
				t.Errorf("%d nodes on %v, %v; want %s", p.Nodes, on, err, tc.on)
			}
		})
	}
}

func TestRefusalsOfGPUs(t *testing.T) {
	t.Parallel()
	unserved := model.Model{ID: "odd", Unserved: true, Architectures: []string{"OddForCausalLM"}, Context: 10, Forms: map[model.Form]model.Weights{model.FormHF: {Size: 1}}}
	mxfp4 := preset(t, "phi-4-mini-instruct")
	mxfp4.Quantisation = "mxfp4"
	hfOnly := preset(t, "smollm2-135m-instruct")
	hfOnly.Forms = map[model.Form]model.Weights{model.FormHF: hfOnly.Forms[model.FormHF]}
	poor := gpuNode(1, "A100", 81920, 8, 0)
	poor.Memory = 4 * model.GiB
	full := gpuNode(1, "A100", 81920, 8, 0)
	full.Disk = model.GiB
	for name, tc := range map[string]struct {
		model model.Model
		wish  model.Wish
		node  model.NodeShape
		want  string
	}{
		"too large for the card": {
			alone(preset(t, "llama-3.1-8b-instruct")),
			model.Wish{},
			gpuNode(1, "Tesla T4", 15360, 7, 5),
			`needs 17.8 GiB of GPU memory, 4.4 GiB more than the 13.4 GiB that are usable of 1 x Tesla T4 on node "gpu": it fits on 1 GPU with 24 GB, or 2 with 16 GB each; vLLM cannot spread its layers over several nodes`,
		},
		"too large for all cards": {
			alone(preset(t, "qwen2.5-coder-32b-instruct")),
			model.Wish{},
			gpuNode(2, "L4", 23034, 8, 9),
			`it fits on 1 GPU with 94 GB, or 2 with 48 GB each, or 4 with 24 GB each, or 8 with 16 GB each`,
		},
		"the context that the user wrote down": {
			alone(preset(t, "phi-3-mini-128k-instruct")),
			model.Wish{Context: 100000},
			gpuNode(1, "A100", 40960, 8, 0),
			`with a context of 100000 needs`,
		},
		"too large for as many nodes as serve one model": {
			preset(t, "deepseek-v3-0324"),
			model.Wish{},
			gpuNode(1, "A100", 81920, 8, 0),
			`needs 774.6 GiB of GPU memory, 203.5 GiB more than the 571.1 GiB that are usable of 8 like node "gpu" together, each with 1 x A100: it fits on 8 GPUs with 141 GB each; confidence is low, and the model may need less: the vocabulary is not known`,
		},
		"too large for any node that is sold": {
			huge(t),
			model.Wish{},
			gpuNode(1, "A100", 81920, 8, 0),
			`: it fits on 2 nodes with 8 GPUs of 180 GB each, or 3 nodes with 8 GPUs of 141 GB each`,
		},
		"more copies than cards":                {preset(t, "phi-4-mini-instruct"), model.Wish{Copies: 4}, gpuNode(2, "A100", 81920, 8, 0), `node "gpu" has 2 GPUs, and 4 copies of model "phi-4-mini-instruct" need one each: ask for fewer`},
		"copies that leave too few cards":       {preset(t, "phi-4-mini-instruct"), model.Wish{Copies: 4, GPUs: 4}, gpuNode(8, "A100", 81920, 8, 0), `each of 4 copies of model "phi-4-mini-instruct" cannot be spread over 4 GPUs of node "gpu": its heads and the node allow 1, 2`},
		"copies that do not fit":                {preset(t, "qwen2.5-coder-32b-instruct"), model.Wish{Copies: 2}, gpuNode(2, "L4", 23034, 8, 9), `more than the 40.1 GiB that are usable of 2 x L4 on node "gpu"`},
		"more requests than all cards can hold": {preset(t, "phi-4-mini-instruct"), model.Wish{Slots: 500, Held: true}, gpuNode(2, "A100", 81920, 8, 0), `model "phi-4-mini-instruct" on 2 x A100 of node "gpu" holds 438 requests of 2304 tokens at once, and 500 are asked for: it fits with a concurrency of 438 or less`},
		"a context beyond the model's": {
			preset(t, "mistral-7b-instruct"),
			model.Wish{Context: 40000},
			gpuNode(1, "A100", 81920, 8, 0),
			`a context of 40000 is more than the 32768 of model "mistral-7b-instruct-v0.3"`,
		},
		"a card that is too old": {
			preset(t, "phi-4-mini-instruct"),
			model.Wish{},
			gpuNode(4, "Tesla V100", 16384, 7, 0),
			`Tesla V100, have compute capability 7.0, and the oldest that vLLM's image has kernels for is 7.5: use newer GPUs`,
		},
		"weights that the card cannot read": {
			mxfp4,
			model.Wish{},
			gpuNode(4, "Tesla T4", 15360, 7, 5),
			`have compute capability 7.5, and the oldest that vLLM needs for weights in mxfp4 is 8.0`,
		},
		"a card that nobody knows":                  {preset(t, "phi-4-mini-instruct"), model.Wish{}, gpuNode(1, "", 0, 0, 0), `install NVIDIA GPU feature discovery`},
		"a number of cards that the heads refuse":   {preset(t, "phi-4-mini-instruct"), model.Wish{GPUs: 3}, gpuNode(8, "A100", 81920, 8, 0), `cannot be spread over 3 GPUs of node "gpu": its heads and the node allow 1, 2, 4, 8`},
		"more cards than the node has":              {preset(t, "phi-4-mini-instruct"), model.Wish{GPUs: 4}, gpuNode(2, "A100", 81920, 8, 0), `allow 1, 2`},
		"too little memory beside the card":         {preset(t, "phi-4-mini-instruct"), model.Wish{}, poor, `needs 7.1 GiB of memory, 3.1 GiB more than the 4.0 GiB`},
		"too little disk":                           {preset(t, "phi-4-mini-instruct"), model.Wish{}, full, `needs 8.0 GiB of disk, node "gpu" has 1.0 GiB`},
		"a model that no engine serves":             {unserved, model.Wish{}, gpuNode(1, "A100", 81920, 8, 0), `of the architecture OddForCausalLM, which neither vLLM nor llama.cpp serves`},
		"a model for GPUs on a node without any":    {preset(t, "phi-4-mini-instruct"), model.Wish{}, model.NodeShape{Name: "cpu", CPU: 64000, Memory: 512 * model.GiB}, `has no weights in the form "gguf", which serving on a CPU needs: use a node with GPUs that hold its 7.2 GiB of weights and more`},
		"a card too small for the engine by itself": {hfOnly, model.Wish{}, gpuNode(1, "GT", 1024, 8, 0), `usable of 8 like node "gpu" together, each with 1 x GT: it fits on 1 GPU with 16 GB`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := estimate.OnNode(tc.model, model.Wishes{"vllm": tc.wish}, tc.node)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an answer that says %q", err, tc.want)
			}
		})
	}
}

func TestTheEngineFollowsTheNode(t *testing.T) {
	t.Parallel()
	both := preset(t, "smollm2-135m-instruct")
	gguf := both
	gguf.Forms = map[model.Form]model.Weights{model.FormGGUF: both.Forms[model.FormGGUF]}
	cpu := model.NodeShape{Name: "cpu", CPU: 4000, Memory: 8 * model.GiB}
	for name, tc := range map[string]struct {
		model  model.Model
		node   model.NodeShape
		engine string
		note   string
	}{
		"no GPU is llama.cpp":                               {both, cpu, "llamacpp", ""},
		"a GPU is vLLM":                                     {both, gpuNode(1, "T4", 15360, 7, 5), "vllm", ""},
		"only a GGUF stays on the CPU, and says so":         {gguf, gpuNode(1, "T4", 15360, 7, 5), "llamacpp", "published only as GGUF"},
		"a GPU that is too old leaves the CPU, and says so": {both, gpuNode(1, "V100", 16384, 7, 0), "llamacpp", "compute capability 7.0"},
		"what does not fit whole says where it would":       {preset(t, "phi-3-mini-128k-instruct"), gpuNode(1, "T4", 15360, 7, 5), "vllm", "the model's 131072 fit on 1 GPU with 80 GB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := estimate.OnNode(tc.model, nil, tc.node)
			if err != nil {
				t.Fatal(err)
			}
			if p.Engine != tc.engine || !strings.Contains(p.Note, tc.note) || tc.note == "" && p.Note != "" {
				t.Errorf("engine %s with note %q, want %s with %q", p.Engine, p.Note, tc.engine, tc.note)
			}
		})
	}
}

func TestBestOfMixedNodes(t *testing.T) {
	t.Parallel()
	named := func(n model.NodeShape, name string) model.NodeShape {
		n.Name = name
		return n
	}
	m := preset(t, "phi-3-mini-128k-instruct")
	small, large := gpuNode(1, "T4", 15360, 7, 5), gpuNode(1, "A100", 81920, 8, 0)
	p, names, err := estimate.Best(m, nil, []model.NodeShape{
		named(small, "a"), named(large, "b"), named(model.NodeShape{CPU: 64000, Memory: 512 * model.GiB}, "c"), named(large, "d"),
	})
	if err != nil || p.GPU == nil || p.GPU.Product != "A100" || strings.Join(names, " ") != "b d" {
		t.Errorf("got %+v on %v, %v; want the A100 of b and d", p.GPU, names, err)
	}
	var small2 *estimate.GPUsTooSmallError
	if _, _, err := estimate.Best(alone(preset(t, "qwen2.5-coder-32b-instruct")), nil, []model.NodeShape{named(small, "a"), named(gpuNode(2, "T4", 15360, 7, 5), "b")}); !errors.As(err, &small2) || small2.Node != "b" {
		t.Errorf("got %v, want what is missing on the largest node", err)
	}
}

// The laws of the estimator for GPUs, on random models and nodes.
func TestLawsOfGPUs(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	planned := 0
	for range 20000 {
		kv := 1 + r.IntN(16)
		m := model.Model{
			ID: "m", Context: 1 + r.IntN(1<<18), Layers: 1 + r.IntN(100), KVHeads: kv, Heads: kv * (1 + r.IntN(8)), HeadDim: 1 + r.IntN(256),
			Forms: map[model.Form]model.Weights{model.FormHF: {Size: model.Bytes(1 + r.Int64N(1<<38))}},
		}
		node := gpuNode(1+r.IntN(8), "X", 1+r.Int64N(200000), 8, 0)
		plan, err := estimate.OnGPU(m, model.Wish{}, node)
		if err != nil {
			continue
		}
		planned++
		n := plan.GPUs()
		budget := model.Bytes(float64(node.GPUs.Memory) * plan.GPU.Utilisation * float64(n))
		if plan.GPU.Memory.Total() > budget+model.Bytes(n)*model.MiB || plan.GPU.Memory.Weights < m.Forms[model.FormHF].Size {
			t.Fatalf("plan %+v does not hold the weights of %+v within %v", plan.GPU, m, budget)
		}
		if n > node.GPUs.Count || m.Heads%n != 0 || m.KVHeads%n != 0 && n%m.KVHeads != 0 {
			t.Fatalf("model %+v cannot be cut over %d of %d GPUs", m, n, node.GPUs.Count)
		}
		if plan.Context > m.Context || plan.Slots < 1 || plan.CPU > node.CPU || plan.Memory.Total() > node.Memory {
			t.Fatalf("plan %+v is beyond model or node", plan)
		}
		fixed := model.Wish{GPUs: n}
		node.GPUs.Memory += model.Bytes(r.Int64N(1 << 34))
		more, err := estimate.OnGPU(m, fixed, node)
		if err != nil || more.Slots < plan.Slots || more.Context < plan.Context {
			t.Fatalf("with more memory: %v, context %d and %d slots instead of %d and %d", err, more.Context, more.Slots, plan.Context, plan.Slots)
		}
		free, err := estimate.OnGPU(m, model.Wish{}, node)
		if err != nil || free.Context < plan.Context || free.Context == plan.Context && free.GPUs() > n {
			t.Fatalf("with more memory: %v, context %d on %d GPUs instead of %d on %d", err, free.Context, free.GPUs(), plan.Context, n)
		}
		asked, err := estimate.OnGPU(m, model.Wish{Context: plan.Context}, node)
		if err != nil || asked.Context != plan.Context || asked.GPUs() > free.GPUs() {
			t.Fatalf("asking for the %d that fit: %v, %d on %d GPUs", plan.Context, err, asked.Context, asked.GPUs())
		}
	}
	if planned < 1000 {
		t.Errorf("only %d plans were made: the laws were hardly asked", planned)
	}
}
