// Package estimate plans how a model runs on a node: arithmetic with units, from
// facts of the model and the shape of the node to a plan, or to how much is missing.
package estimate

import (
	"errors"
	"slices"

	"kaito.sh/kaito/internal/model"
)

// The engines that are planned for; internal/engine has a folder for each.
const (
	engineVLLM     = "vllm"
	engineLlamacpp = "llamacpp"
)

// Best plans a model for the best that the nodes offer, and names the nodes that
// can hold that plan, sorted. A node that joins changes the plan only if it can
// do more than every other, so pods do not roll because a small node came.
//
// It plans for the GPUs that are free. Where nothing fits on those, it plans as if none were
// taken, and the pods wait for them: the plan's note says so.
func Best(m model.Model, wishes model.Wishes, nodes []model.NodeShape) (model.Plan, []string, error) {
	plan, names, err := best(m, wishes, nodes)
	if !anyTaken(nodes) {
		return plan, names, err
	}
	alone, allNames, unfit := best(m, wishes, untaken(nodes))
	switch {
	case unfit != nil:
		return model.Plan{}, nil, unfit
	case err != nil:
		alone.Note = noted(waitsFor(nodes, alone), alone.Note)
		return alone, allNames, nil
	case Better(alone, plan):
		plan = beside(plan, nodes)
	}
	return plan, names, nil
}

func best(m model.Model, wishes model.Wishes, nodes []model.NodeShape) (model.Plan, []string, error) {
	var best model.Plan
	var closest error
	for _, n := range bySize(nodes) {
		plan, err := OnNode(m, wishes, n)
		switch {
		case err != nil && closest == nil:
			closest = err // the largest node comes first
		case err == nil && Better(plan, best):
			best = plan
		}
	}
	if best.Nodes == 0 {
		return model.Plan{}, nil, closest
	}
	var names []string
	for _, n := range nodes {
		if holds(n, best) {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return best, slices.Compact(names), nil
}

// OnNode plans a model for one node: vLLM on its GPUs where there are any, else
// llama.cpp on its CPU.
func OnNode(m model.Model, wishes model.Wishes, node model.NodeShape) (model.Plan, error) {
	_, hf := m.Forms[model.FormHF]
	_, gguf := m.Forms[model.FormGGUF]
	onCPU := func() (model.Plan, error) { return OnCPU(m, wishes[engineLlamacpp], node) }
	switch {
	case m.Unserved && !gguf:
		return model.Plan{}, &UnservedError{Model: m.ID, Architectures: m.Architectures}
	case node.GPUs.Count == 0:
		return onCPU()
	case !hf && gguf:
		plan, err := onCPU()
		plan.Note = noted("its GPUs are not used: the model is published only as GGUF, which llama.cpp serves on the CPU", plan.Note)
		return plan, err
	}
	plan, unfit := OnGPU(m, wishes[engineVLLM], node)
	var taken *TakenError
	if unfit == nil || !gguf || errors.As(unfit, &taken) {
		return plan, unfit // GPUs that are taken may become free
	}
	// A model that the GPUs cannot take may still run beside them.
	plan, err := onCPU()
	if err != nil {
		return plan, unfit
	}
	plan.Note = noted("its GPUs are not used: "+unfit.Error(), plan.Note)
	return plan, nil
}

// noted puts a note before another, which may be empty.
func noted(note, other string) string {
	if other == "" {
		return note
	}
	return note + "; " + other
}

// holds says whether a node can take a pod of the plan.
func holds(n model.NodeShape, p model.Plan) bool {
	if n.Memory < p.Memory.Total() || n.CPU < p.CPU || n.Disk > 0 && n.Disk < p.Disk {
		return false
	}
	return p.GPU == nil || ofPlan(n.GPUs, *p.GPU) && n.GPUs.Free() >= p.GPU.Count && n.GPUs.Memory >= p.GPU.Each
}
