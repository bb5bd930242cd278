package estimate

import (
	"cmp"
	"slices"

	"kaito.sh/kaito/internal/model"
)

// bySize puts the node with the most memory first; the name decides between equals.
func bySize(nodes []model.NodeShape) []model.NodeShape {
	sorted := slices.Clone(nodes)
	slices.SortFunc(sorted, func(a, b model.NodeShape) int {
		return cmp.Or(cmp.Compare(b.Memory, a.Memory), cmp.Compare(b.CPU, a.CPU), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}

// better is true for more requests at once, then for more CPU.
func better(a, b model.Plan) bool {
	return cmp.Or(cmp.Compare(a.Slots, b.Slots), cmp.Compare(a.CPU, b.CPU)) > 0
}
