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
// can hold that plan, sorted: as many as the plan has, or more. A node that joins changes the
// plan only if it can do more than every other, so pods do not roll because a small node came.
// Where the nodes of a kind could serve the model together if only there were more of them,
// the error is a *TooFewNodesError.
//
// It plans for the GPUs that are free. Where nothing fits on those, it plans as if none were
// taken, and the pods wait for them: the plan's note says so.
func Best(m model.Model, wishes model.Wishes, nodes []model.NodeShape) (model.Plan, []string, error) {
	return bestOf(m, wishes, nodes, mostNodes)
}

// BestAlone is Best with a single node: a tuning has one, and serves there what it has tuned.
func BestAlone(m model.Model, wishes model.Wishes, nodes []model.NodeShape) (model.Plan, []string, error) {
	return bestOf(m, wishes, nodes, 1)
}

// bestOf is Best with at most so many nodes.
func bestOf(m model.Model, wishes model.Wishes, nodes []model.NodeShape, most int) (model.Plan, []string, error) {
	plan, names, err := best(m, wishes, nodes, most)
	if !anyTaken(nodes) {
		return plan, names, err
	}
	alone, allNames, unfit := best(m, wishes, untaken(nodes), most)
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

func best(m model.Model, wishes model.Wishes, nodes []model.NodeShape, most int) (model.Plan, []string, error) {
	var best model.Plan
	var closest error
	var short *TooFewNodesError
	take := func(plan model.Plan, err error) {
		switch {
		case err != nil && closest == nil:
			closest = err // the largest node comes first
		case err == nil && Better(plan, best):
			best = plan
		}
	}
	for _, n := range bySize(nodes) {
		plan, err := onNode(m, wishes, n, most)
		if err == nil && plan.Nodes > 1 {
			if have := holding(nodes, plan); len(have) < plan.Nodes {
				short = fewer(short, missing(m, wishes, n, plan, have))
				plan, err = onNode(m, wishes, n, 1)
			}
		}
		take(plan, err)
	}
	switch {
	case best.Nodes > 0:
		return best, holding(nodes, best), nil
	case short != nil:
		return model.Plan{}, nil, short
	}
	return model.Plan{}, nil, closest
}

// missing says what lacks to a plan of several nodes.
func missing(m model.Model, wishes model.Wishes, n model.NodeShape, plan model.Plan, have []string) *TooFewNodesError {
	m, _ = Bounded(m)
	wish := wishes[plan.Engine]
	return &TooFewNodesError{
		Model: m.ID, Node: n.Name, GPUs: plan.GPUs(), Product: n.GPUs.Product, Need: plan.Nodes, Have: have, Fits: advice(m, wish, neededContext(m, wish)),
	}
}

// fewer is the one of two that lacks fewer nodes; the first where they lack as many.
func fewer(a, b *TooFewNodesError) *TooFewNodesError {
	if a == nil || b.Need-len(b.Have) < a.Need-len(a.Have) {
		return b
	}
	return a
}

// holding names the nodes that can take a pod of a plan, sorted.
func holding(nodes []model.NodeShape, plan model.Plan) []string {
	var names []string
	for _, n := range nodes {
		if holds(n, plan) {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// OnNode plans a model for nodes like this one: vLLM on their GPUs where they have any, on as
// few nodes as hold the model together; else llama.cpp on the CPU of one.
func OnNode(m model.Model, wishes model.Wishes, node model.NodeShape) (model.Plan, error) {
	return onNode(m, wishes, node, mostNodes)
}

// onNode is OnNode for at most so many nodes.
func onNode(m model.Model, wishes model.Wishes, node model.NodeShape, most int) (model.Plan, error) {
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
	plan, unfit := onGPUs(m, wishes[engineVLLM], node, most)
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
