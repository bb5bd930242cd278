package estimate_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

var small = model.Model{
	ID: "small", HubID: "owner/Small", Parameters: 134515008, Context: 8192, Layers: 30, KVHeads: 3, HeadDim: 64,
	Forms: map[model.Form]model.Weights{model.FormGGUF: {Size: 98362432, File: "small.gguf"}},
}

func TestOnCPU(t *testing.T) {
	t.Parallel()
	large := small
	large.Forms = map[model.Form]model.Weights{model.FormGGUF: {Size: 5 * model.GiB, File: "large.gguf"}}
	for name, tc := range map[string]struct {
		model          model.Model
		cpu            model.MilliCPU
		memory         model.Bytes
		slots, threads int
		wantCPU        model.MilliCPU
	}{
		"a small model takes one core of a large node":      {small, 64000, 256 * model.GiB, 2, 1, 1000},
		"a small node serves one request at a time":         {small, 2000, 700 * model.MiB, 1, 1, 1000},
		"a part of a core is taken whole, with one thread":  {small, 900, 4 * model.GiB, 2, 1, 900},
		"a larger model takes a core for each half GiB":     {large, 64000, 256 * model.GiB, 2, 10, 10000},
		"threads are never more than the cores of the node": {large, 3500, 256 * model.GiB, 2, 3, 3500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := estimate.OnCPU(tc.model, model.Wish{}, model.NodeShape{Name: "n", CPU: tc.cpu, Memory: tc.memory})
			if err != nil {
				t.Fatal(err)
			}
			if p.Slots != tc.slots || p.Threads != tc.threads || p.CPU != tc.wantCPU {
				t.Errorf("got %d slots, %d threads, %dm CPU; want %d, %d, %dm", p.Slots, p.Threads, p.CPU, tc.slots, tc.threads, tc.wantCPU)
			}
		})
	}
}

func TestWhatDoesNotFitSaysHowMuchIsMissing(t *testing.T) {
	t.Parallel()
	hf := small
	hf.Forms = map[model.Form]model.Weights{model.FormHF: {Size: model.GiB}}
	for name, tc := range map[string]struct {
		model model.Model
		node  model.NodeShape
		want  string
	}{
		"too little memory":         {small, model.NodeShape{Name: "tiny", CPU: 4000, Memory: 512 * model.MiB}, `needs 658 MiB of memory, 146 MiB more than the 512 MiB of node "tiny"`},
		"too little CPU":            {small, model.NodeShape{Name: "slow", CPU: 50, Memory: model.GiB * 8}, `needs at least 100m of CPU, node "slow" has 50m`},
		"no form that a CPU serves": {hf, model.NodeShape{Name: "n", CPU: 4000, Memory: model.GiB * 8}, `no weights in the form "gguf"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := estimate.OnCPU(tc.model, model.Wish{}, tc.node); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an answer that says %q", err, tc.want)
			}
		})
	}
}

func TestBestNamesTheNodesThatHoldThePlan(t *testing.T) {
	t.Parallel()
	node := func(name string, cpu model.MilliCPU, memory model.Bytes) model.NodeShape {
		return model.NodeShape{Name: name, CPU: cpu, Memory: memory}
	}
	for name, tc := range map[string]struct {
		nodes []model.NodeShape
		names []string
		slots int
	}{
		"all that are large enough":                {[]model.NodeShape{node("b", 2000, model.GiB), node("a", 2000, model.GiB)}, []string{"a", "b"}, 2},
		"not those that are too small":             {[]model.NodeShape{node("b", 2000, model.GiB), node("a", 2000, 600*model.MiB)}, []string{"b"}, 2},
		"the best of the small ones":               {[]model.NodeShape{node("b", 2000, 700*model.MiB), node("a", 500, 700*model.MiB)}, []string{"b"}, 1},
		"memory first: more requests, fewer cores": {[]model.NodeShape{node("b", 500, model.GiB), node("a", 2000, 700*model.MiB)}, []string{"b"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, names, err := estimate.Best(small, nil, tc.nodes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.names, names); diff != "" || p.Slots != tc.slots {
				t.Errorf("%d slots, want %d; nodes (-want +got):\n%s", p.Slots, tc.slots, diff)
			}
		})
	}
	var tooLarge *estimate.TooLargeError
	_, _, err := estimate.Best(small, nil, []model.NodeShape{node("a", 2000, 100), node("b", 2000, 300*model.MiB)})
	if !errors.As(err, &tooLarge) || tooLarge.Node != "b" {
		t.Errorf("got %v, want what is missing on the largest node", err)
	}
}

// The laws of the estimator, on random models and nodes.
func TestLaws(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		m := model.Model{
			ID: "m", Context: 1 + r.IntN(1<<17), Layers: 1 + r.IntN(100), KVHeads: 1 + r.IntN(16), HeadDim: 1 + r.IntN(256),
			Forms: map[model.Form]model.Weights{model.FormGGUF: {Size: model.Bytes(1 + r.Int64N(1<<38))}},
		}
		node := model.NodeShape{CPU: model.MilliCPU(r.Int64N(64000)), Memory: model.Bytes(r.Int64N(1 << 40))}
		plan, err := estimate.OnCPU(m, model.Wish{}, node)
		if err != nil {
			continue
		}
		if plan.Memory.Total() > node.Memory || plan.Memory.Total() < m.Forms[model.FormGGUF].Size || plan.CPU > node.CPU {
			t.Fatalf("plan %+v of model %+v does not hold the weights within node %+v", plan, m, node)
		}
		if max(1, int(plan.CPU/model.Core)) < plan.Threads {
			t.Fatalf("plan %+v has more threads than cores", plan)
		}
		node.Memory += model.Bytes(r.Int64N(1 << 30))
		more, err := estimate.OnCPU(m, model.Wish{}, node)
		if err != nil || more.Slots < plan.Slots {
			t.Fatalf("with more memory: %v, %d slots instead of %d", err, more.Slots, plan.Slots)
		}
	}
}
