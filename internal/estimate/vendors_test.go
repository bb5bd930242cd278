package estimate_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

// amdNode is a node with GPUs of AMD's and enough of all else.
func amdNode(count int, product, target string, gib int64) model.NodeShape {
	n := gpuNode(count, product, gib*1024, 0, 0)
	n.GPUs.Resource, n.GPUs.Target = model.ResourceAMD, target
	n.GPUs.Kind.Key = "amd.com/gpu.product-name"
	return n
}

// cutInto is a node whose GPUs are cut, with enough of all else.
func cutInto(count int, profile string) model.NodeShape {
	n := gpuNode(count, "NVIDIA A100 MIG "+profile, int64(model.SliceMemory(profile)/model.MiB), 8, 0)
	n.GPUs.Slice, n.GPUs.Resource = profile, model.ResourceSlice+profile
	return n
}

func taken(n model.NodeShape, gpus int) model.NodeShape {
	n.GPUs.Taken = gpus
	return n
}

func quantised(t *testing.T, as string) model.Model {
	t.Helper()
	m := preset(t, "phi-4-mini-instruct")
	m.Quantisation = as
	return m
}

func TestGPUsOfAnyVendor(t *testing.T) {
	t.Parallel()
	mi300x := amdNode(8, "AMD Instinct MI300X", "gfx942", 192)
	for name, tc := range map[string]struct {
		model    string
		node     model.NodeShape
		gpus     int
		resource string
	}{
		"two large GPUs of AMD's hold a model of 70 billion with all of its context": {"llama-3.3-70b-instruct", mi300x, 2, model.ResourceAMD},
		"weights of 8 bits run on MI300":                                             {"deepseek-r1-0528", mi300x, 8, model.ResourceAMD},
		"MXFP4 runs on MI300":                                                        {"gpt-oss-120b", mi300x, 1, model.ResourceAMD},
		"numbers of 16 bits run on MI200":                                            {"phi-4-mini-instruct", amdNode(8, "AMD Instinct MI210", "gfx90a", 64), 1, model.ResourceAMD},
		"a slice is one GPU":                                                         {"phi-4-mini-instruct", cutInto(7, "3g.40gb"), 1, "nvidia.com/mig-3g.40gb"},
		"a model takes one slice of many":                                            {"llama-3.1-8b-instruct", cutInto(14, "3g.40gb"), 1, "nvidia.com/mig-3g.40gb"},
		"what others have left is taken":                                             {"llama-3.1-8b-instruct", taken(gpuNode(8, "T4", 15360, 7, 5), 6), 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := estimate.OnNode(preset(t, tc.model), nil, tc.node)
			if err != nil {
				t.Fatal(err)
			}
			if p.GPUs() != tc.gpus || p.Resource() != tc.resource || p.Engine != "vllm" || p.GPU.Slice != tc.node.GPUs.Slice {
				t.Errorf("got %d x %q in slices %q with %s, want %d x %q", p.GPUs(), p.Resource(), p.GPU.Slice, p.Engine, tc.gpus, tc.resource)
			}
			if model.VendorOf(tc.resource) != p.Vendor() {
				t.Errorf("the vendor of %q is %q", tc.resource, p.Vendor())
			}
		})
	}
}

// refusals of GPUs, each with the message that a user reads.
func TestWhyGPUsAreNotUsed(t *testing.T) {
	t.Parallel()
	unknown := amdNode(8, "", "", 0)
	for name, tc := range map[string]struct {
		model model.Model
		wish  model.Wish
		node  model.NodeShape
		want  string
	}{
		"a context beyond the model's": {
			preset(t, "mistral-7b-instruct"),
			model.Wish{Context: 40000},
			gpuNode(1, "A100", 81920, 8, 0),
			`a context of 40000 is more than the 32768 of model "mistral-7b-instruct-v0.3": ask for less`,
		},
		"more GPUs than the heads divide": {
			preset(t, "phi-4-mini-instruct"),
			model.Wish{GPUs: 5},
			gpuNode(8, "A100", 81920, 8, 0),
			`model "phi-4-mini-instruct" cannot be spread over 5 GPUs of node "gpu": its heads and the node allow 1, 2, 4, 8`,
		},
		"more GPUs than the node has": {
			preset(t, "phi-4-mini-instruct"),
			model.Wish{GPUs: 16},
			gpuNode(8, "A100", 81920, 8, 0),
			`model "phi-4-mini-instruct" cannot be spread over 16 GPUs of node "gpu": its heads and the node allow 1, 2, 4, 8`,
		},
		"a card that is too old": {
			preset(t, "phi-4-mini-instruct"),
			model.Wish{},
			gpuNode(1, "Tesla V100", 16384, 7, 0),
			`the GPUs of node "gpu", Tesla V100, have compute capability 7.0, and the oldest that vLLM's image has kernels for is 7.5: use newer GPUs for model "phi-4-mini-instruct"`,
		},
		"a quantisation that an NVIDIA GPU cannot run": {
			quantised(t, "mxfp4"),
			model.Wish{},
			gpuNode(1, "Tesla T4", 15360, 7, 5),
			`the GPUs of node "gpu", Tesla T4, have compute capability 7.5, and the oldest that vLLM needs for weights in mxfp4 is 8.0: use newer GPUs for model "phi-4-mini-instruct"`,
		},
		"a quantisation that no GPU of AMD's can run": {
			quantised(t, "nvfp4-pack-quantized"),
			model.Wish{},
			amdNode(8, "AMD Instinct MI300X", "gfx942", 192),
			`the weights of model "phi-4-mini-instruct" are quantised as nvfp4-pack-quantized, for which vLLM has no kernels on the GPUs of node "gpu", AMD Instinct MI300X (gfx942): ` +
				`use GPUs of NVIDIA's, or a model that is not quantised so`,
		},
		"a quantisation that newer GPUs of AMD's can run": {
			quantised(t, "mxfp4"),
			model.Wish{},
			amdNode(8, "AMD Instinct MI210", "gfx90a", 64),
			`the weights of model "phi-4-mini-instruct" are quantised as mxfp4, for which vLLM has no kernels on the GPUs of node "gpu", AMD Instinct MI210 (gfx90a): ` +
				`use GPUs of gfx942, gfx950 or NVIDIA's with compute capability 8.0 or newer, or a model that is not quantised so`,
		},
		"an instruction set that vLLM's image is not made for": {
			preset(t, "phi-4-mini-instruct"),
			model.Wish{},
			amdNode(1, "AMD Radeon PRO V620", "gfx1030", 32),
			`the GPUs of node "gpu", AMD Radeon PRO V620, are gfx1030, and vLLM's image for ROCm has kernels for gfx90a, gfx942, gfx950, gfx1100, gfx1101, gfx1150, gfx1151, gfx1200, gfx1201 alone: ` +
				`use such GPUs, or NVIDIA's, for model "phi-4-mini-instruct"`,
		},
		"AMD's GPUs of which nothing is known": {
			preset(t, "phi-4-mini-instruct"),
			model.Wish{},
			unknown,
			`node "gpu" does not say how much memory its GPUs have and what instruction set: let AMD's node labeller write amd.com/gpu.vram, amd.com/gpu.product-name and amd.com/gpu.device-id, and use whole GPUs (spx_nps1)`,
		},
		"a slice that is too small": {
			preset(t, "llama-3.1-8b-instruct"),
			model.Wish{},
			cutInto(7, "1g.10gb"),
			`model "llama-3.1-8b-instruct" with a context of 2048 needs 17.8 GiB of GPU memory, 9.7 GiB more than the 8.1 GiB that are usable of 1 x NVIDIA A100 MIG 1g.10gb on node "gpu": ` +
				`it fits on 1 slice with 23 GB, or 1 whole GPU with 24 GB, or 2 with 16 GB each`,
		},
		"a model over several slices": {
			preset(t, "llama-3.1-8b-instruct"),
			model.Wish{GPUs: 2},
			cutInto(7, "3g.40gb"),
			`model "llama-3.1-8b-instruct" cannot be spread over 2 slices 3g.40gb of node "gpu": a model takes one slice; leave tensor-parallel-size and data-parallel-size out, or use larger slices or whole GPUs`,
		},
		"GPUs that are all taken": {
			preset(t, "llama-3.1-8b-instruct"),
			model.Wish{},
			taken(gpuNode(8, "A100", 81920, 8, 0), 8),
			`all 8 x A100 of node "gpu" are taken by other pods`,
		},
		"fewer free GPUs than are asked for": {
			preset(t, "llama-3.1-8b-instruct"),
			model.Wish{GPUs: 4},
			taken(gpuNode(8, "A100", 81920, 8, 0), 6),
			`of the 8 x A100 of node "gpu" 2 are free, and 4 are asked for`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := estimate.OnGPU(tc.model, tc.wish, tc.node)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestWhyNothingIsTrained(t *testing.T) {
	t.Parallel()
	m := preset(t, "phi-4-mini-instruct")
	load := model.TuneLoad{Bits: 16, Batch: 1, Length: 512, Rank: 8, Targets: []string{"qkv_proj"}}
	for name, tc := range map[string]struct {
		node model.NodeShape
		want string
	}{
		"AMD's GPUs": {
			amdNode(8, "AMD Instinct MI300X", "gfx942", 192),
			`model "phi-4-mini-instruct" is not trained on the GPUs of node "gpu", AMD Instinct MI300X: this version has no trainer for AMD's; use a node with NVIDIA's`,
		},
		"a slice that is too small": {cutInto(7, "1g.5gb"), `use a GPU of`},
		"a GPU that is taken":       {taken(gpuNode(1, "A100", 81920, 8, 0), 1), `all 1 x A100 of node "gpu" are taken by other pods`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := estimate.TuneOnNode(m, load, tc.node); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	p, names, err := estimate.Tune(m, load, []model.NodeShape{cutInto(7, "3g.40gb"), taken(gpuNode(1, "A100", 81920, 8, 0), 1)})
	if err != nil || p.Resource() != "nvidia.com/mig-3g.40gb" || len(names) != 1 {
		t.Errorf("got %+v on %v, %v", p.GPU, names, err)
	}
	if p, _, err := estimate.Tune(m, load, []model.NodeShape{taken(gpuNode(1, "A100", 81920, 8, 0), 1)}); err != nil || p.GPUs() != 1 {
		t.Errorf("a training that waits for its GPU: %+v, %v", p.GPU, err)
	}
}

func TestPartsOfNodes(t *testing.T) {
	t.Parallel()
	m := preset(t, "llama-3.1-8b-instruct") // the whole context takes four T4
	t4 := func(name string, gpus int) model.NodeShape {
		n := taken(gpuNode(8, "T4", 15360, 7, 5), gpus)
		n.Name = name
		return n
	}
	for name, tc := range map[string]struct {
		nodes        []model.NodeShape
		gpus, within int
		names        string
		note         string
	}{
		"a node of which enough is free":             {[]model.NodeShape{t4("a", 4)}, 4, 0, "a", ""},
		"a node of which less is free":               {[]model.NodeShape{t4("a", 5)}, 2, 3, "a", "planned for the 3 of 8 x T4 that pods of others leave free; the context is what fits"},
		"nodes of which one has enough":              {[]model.NodeShape{t4("a", 8), t4("b", 2), t4("c", 6)}, 4, 0, "b", ""},
		"nodes that are all taken":                   {[]model.NodeShape{t4("a", 8), t4("b", 8)}, 4, 0, "a b", "it waits for 4 x T4: pods of others have 8 of the 8 of a node"},
		"nodes that have too few for the model each": {[]model.NodeShape{t4("a", 7), t4("b", 8)}, 4, 0, "a b", "it waits for 4 x T4: pods of others have 7 of the 8 of a node"},
		"a node of two kinds is named once":          {[]model.NodeShape{t4("a", 4), t4("a", 4)}, 4, 0, "a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, names, err := estimate.Best(m, nil, tc.nodes)
			if err != nil {
				t.Fatal(err)
			}
			within := 0
			if p.Beside != nil {
				within = p.Beside.Free
			}
			if p.GPUs() != tc.gpus || within != tc.within || strings.Join(names, " ") != tc.names {
				t.Errorf("%d GPUs within %d on %v, want %d within %d on %s", p.GPUs(), within, names, tc.gpus, tc.within, tc.names)
			}
			if tc.note == "" && strings.Contains(p.Note, "others") || !strings.HasPrefix(p.Note, tc.note) {
				t.Errorf("note %q, want %q", p.Note, tc.note)
			}
		})
	}
	if _, _, err := estimate.Best(preset(t, "deepseek-r1-0528"), nil, []model.NodeShape{t4("a", 5)}); err == nil || strings.Contains(err.Error(), "free") {
		t.Errorf("what fits on no node says %v", err)
	}
	both := preset(t, "smollm2-135m-instruct") // GGUF as well
	if p, _, err := estimate.Best(both, nil, []model.NodeShape{t4("a", 8)}); err != nil || p.Engine != "vllm" {
		t.Errorf("a model that waits for a GPU is served with %s: %v", p.Engine, err)
	}
}

// The laws hold on every kind of GPUs, and no plan takes what others have, or several slices.
func TestLawsOfVendorsAndParts(t *testing.T) {
	t.Parallel()
	l := &laws{t: t, r: rand.New(rand.NewPCG(7, 8))}
	for range 5000 {
		m, count := anyModel(l.r), 1+l.r.IntN(8)
		node := gpuNode(count, "X", 1+l.r.Int64N(200000), 9, 0)
		switch l.r.IntN(3) {
		case 0:
			node.GPUs.Resource, node.GPUs.Target = model.ResourceAMD, "gfx942"
		case 1:
			node.GPUs.Slice = "1g.10gb"
		}
		node.GPUs.Taken = l.r.IntN(count + 1)
		wish := model.Wish{Context: 1 + l.r.IntN(m.Context)}
		p, err := estimate.OnGPU(m, wish, node)
		var all *estimate.TakenError
		if errors.As(err, &all) != (node.GPUs.Free() == 0) {
			t.Fatalf("%d of %d are free: %v", node.GPUs.Free(), count, err)
		}
		if err == nil {
			l.plans++
			l.holds(m, node, p)
			if p.GPUs() > node.GPUs.Free() || node.GPUs.Slice != "" && p.GPUs() != 1 {
				t.Fatalf("%d GPUs are planned, of %+v", p.GPUs(), node.GPUs)
			}
		}
		l.moreMemory(m, wish, node, p, err)
		l.longerContext(m, wish, node, p, err)
		l.freeGPUs(m, wish, node, p, err)
	}
	if l.plans < 500 {
		t.Errorf("only %d plans were made", l.plans)
	}
}

// freeGPUs: where others leave, nothing stops to fit and nothing needs more.
func (l *laws) freeGPUs(m model.Model, wish model.Wish, node model.NodeShape, p model.Plan, unfit error) {
	node.GPUs.Taken = 0
	more, err := estimate.OnGPU(m, wish, node)
	if unfit == nil && (err != nil || larger(more, p) || more.Context != p.Context) {
		l.t.Fatalf("%+v on a free node: %v, %d GPUs instead of %d", m, err, more.GPUs(), p.GPUs())
	}
}

// Every refusal names the node, so that a reader of instance types can put the type there.
func TestEveryRefusalNamesTheNode(t *testing.T) {
	t.Parallel()
	const named = `node "there"`
	for _, err := range []error{
		&estimate.TargetError{Node: "there"}, &estimate.QuantisationError{Node: "there"}, &estimate.SliceSpreadError{Node: "there"}, &estimate.TakenError{Node: "there"},
		&estimate.TakenError{Node: "there", Want: 2}, &estimate.TuneVendorError{Node: "there"}, &estimate.UnknownGPUError{Node: "there", Vendor: model.AMD},
	} {
		if !strings.Contains(err.Error(), named) {
			t.Errorf("%s does not name the node", fmt.Sprintf("%T", err))
		}
	}
}
