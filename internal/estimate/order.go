package estimate

import (
	"cmp"
	"slices"

	"kaito.sh/kaito/internal/model"
)

// bySize puts the node with the most GPU memory first, then that with the most
// memory; the name decides between equals.
func bySize(nodes []model.NodeShape) []model.NodeShape {
	sorted := slices.Clone(nodes)
	all := func(n model.NodeShape) model.Bytes { return n.GPUs.Memory * model.Bytes(n.GPUs.Count) }
	slices.SortFunc(sorted, func(a, b model.NodeShape) int {
		return cmp.Or(cmp.Compare(all(b), all(a)), cmp.Compare(b.Memory, a.Memory), cmp.Compare(b.CPU, a.CPU), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}

// Better is true for GPUs before a CPU, then for fewer nodes, then for a longer context, then
// for more requests at once, then for fewer GPUs, and for more CPU. A plan without nodes is none.
func Better(a, b model.Plan) bool {
	if b.Nodes == 0 {
		return true
	}
	return cmp.Or(
		cmp.Compare(min(a.GPUs(), 1), min(b.GPUs(), 1)),
		cmp.Compare(b.Nodes, a.Nodes),
		cmp.Compare(a.Context, b.Context),
		cmp.Compare(a.Slots, b.Slots),
		cmp.Compare(b.GPUs(), a.GPUs()),
		cmp.Compare(a.CPU, b.CPU),
	) > 0
}
