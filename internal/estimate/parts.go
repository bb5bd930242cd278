package estimate

import (
	"fmt"
	"slices"

	"kaito.sh/kaito/internal/model"
)

// room is what may be used: how many nodes, and how many GPUs of each.
type room struct{ nodes, gpus int }

// roomOn is what of nodes like this one may be used. A model takes one slice: slices of GPUs do
// not reach each other's memory, without which vLLM's tensor parallelism does not run (no peer
// to peer between MIG devices: NVIDIA's guide on MIG).
func roomOn(m model.Model, wish model.Wish, node model.NodeShape, nodes int) (room, error) {
	g, copies := node.GPUs, max(1, wish.Copies)
	free, want := g.Free(), max(1, wish.GPUs)*copies
	switch {
	case free == 0:
		return room{}, &TakenError{Node: node.Name, Product: g.Product, GPUs: g.Count}
	case g.Slice != "" && want > 1:
		return room{}, &SliceSpreadError{Model: m.ID, Node: node.Name, Slice: g.Slice, Want: want}
	case g.Slice != "":
		return room{nodes: 1, gpus: 1}, nil
	case wish.GPUs > 0 && !divides(m, wish.GPUs) || want > g.Count:
		return room{}, &SpreadError{Model: m.ID, Node: node.Name, Want: wish.GPUs, Copies: copies, GPUs: g.Count, Possible: tensors(m, g.Count/copies)}
	case want > free:
		return room{}, &TakenError{Node: node.Name, Product: g.Product, GPUs: g.Count, Free: free, Want: want}
	}
	return room{nodes: nodes, gpus: free}, nil
}

// SliceSpreadError says that a model was to be spread over slices of GPUs.
type SliceSpreadError struct {
	// Model is the id of the model, Node the name of the node, Slice the profile of its slices.
	Model, Node, Slice string
	// Want is how many were asked for.
	Want int
}

// Error says what can be.
func (e *SliceSpreadError) Error() string {
	return fmt.Sprintf("model %q cannot be spread over %d slices %s of node %q: a model takes one slice; leave tensor-parallel-size and data-parallel-size out, or use larger slices or whole GPUs",
		e.Model, e.Want, e.Slice, e.Node)
}

// TakenError says that the GPUs of a node are taken by pods of others.
type TakenError struct {
	// Node is the name of the node, Product what its GPUs are called.
	Node, Product string
	// GPUs is how many there are, Free how many of them are free.
	GPUs, Free int
	// Want is how many were asked for, or 0.
	Want int
}

// Error says how many are free.
func (e *TakenError) Error() string {
	if e.Want > 0 {
		return fmt.Sprintf("of the %d x %s of node %q %d are free, and %d are asked for", e.GPUs, e.Product, e.Node, e.Free, e.Want)
	}
	return fmt.Sprintf("all %d x %s of node %q are taken by other pods", e.GPUs, e.Product, e.Node)
}

// sliceSizes are the memories of slices that NVIDIA's GPUs can be cut into, in GB (MIG user
// guide, supported profiles, A30 to B200).
func sliceSizes() []int {
	return []int{5, 6, 10, 12, 18, 20, 23, 24, 35, 40, 45, 47, 48, 71, 80, 90, 93, 141, 180}
}

// adviceFor are the combinations on which a context fits: for a node with slices the smallest
// slice, then whole GPUs.
func adviceFor(m model.Model, wish model.Wish, context int, on model.GPUs) []Offer {
	whole := advice(m, wish, context)
	if on.Slice == "" {
		return whole
	}
	sizes := sliceSizes()
	i := slices.IndexFunc(sizes, func(size int) bool {
		return fitGPUs(m, wish, model.Nominal(float64(size)), layout{nodes: 1, inside: 1, tensor: 1, copies: 1}).context >= context
	})
	if i < 0 {
		return whole
	}
	return append([]Offer{{Nodes: 1, GPUs: 1, Each: sizes[i], Slice: true}}, whole...)
}

// anyTaken is true where a node has GPUs that others have taken.
func anyTaken(nodes []model.NodeShape) bool {
	return slices.ContainsFunc(nodes, func(n model.NodeShape) bool { return n.GPUs.Taken > 0 })
}

// untaken are nodes as they would be without anybody else's pods.
func untaken(nodes []model.NodeShape) []model.NodeShape {
	all := slices.Clone(nodes)
	for i := range all {
		all[i].GPUs.Taken = 0
	}
	return all
}

// part says how many GPUs of the kind of a plan a node has, and how many of them are free at the most.
func part(nodes []model.NodeShape, p model.Plan) (count, free int, product string) {
	for _, n := range nodes {
		if g := n.GPUs; p.GPU != nil && ofPlan(g, *p.GPU) && g.Free() >= free {
			count, free, product = g.Count, g.Free(), g.Product
		}
	}
	return count, free, product
}

// ofPlan is true of GPUs of the kind that a plan was made for.
func ofPlan(g model.GPUs, p model.GPUPlan) bool {
	return g.Kind == p.Kind && g.Resource == p.Resource && g.Slice == p.Slice
}

// waitsFor says what a plan waits for that was made as if no GPUs were taken.
func waitsFor(nodes []model.NodeShape, p model.Plan) string {
	count, free, product := part(nodes, p)
	return fmt.Sprintf("it waits for %d x %s: pods of others have %d of the %d of a node", p.GPUs(), product, count-free, count)
}

// beside says of a plan that pods of others have GPUs that would hold more.
func beside(p model.Plan, nodes []model.NodeShape) model.Plan {
	count, free, product := part(nodes, p)
	p.Beside = &model.Beside{Free: free}
	note := "pods of others have GPUs that would hold more"
	if p.GPU != nil {
		p.Beside.Resource = model.ResourceOf(p.GPU.Resource)
	}
	if free < count {
		note = fmt.Sprintf("planned for the %d of %d x %s that pods of others leave free", free, count, product)
	}
	p.Note = noted(note, p.Note)
	return p
}
