package sizing

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/nodelabel"
)

// Place is where a model may run: a type of machine, or nodes that are there and are alike.
type Place struct {
	// Type is the type of machine; of nodes it has the first one's name and what they offer.
	Type instance.Type
	// Shape is what pods find there.
	Shape model.NodeShape
	// Nodes are the names of nodes, sorted; a type has none.
	Nodes []string
	// Of is the type by which a price is looked up; of nodes what their label says, or empty.
	Of string
}

// Text speaks of a type, or of nodes, where the planner speaks of a node.
func (p Place) Text(text string) string {
	if len(p.Nodes) > 0 {
		return text
	}
	return OfType(text, p.Type)
}

// sentence is an error as the beginning of a message about the place.
func (p Place) sentence(err error) string {
	text := p.Text(err.Error())
	return strings.ToUpper(text[:1]) + text[1:]
}

// part is what the place offers of a partition.
func (p Place) part(partition *v1beta1.PartitionSpec) (model.NodeShape, error) {
	if len(p.Nodes) == 0 {
		return TypePart(p.Type, partition)
	}
	_, err := OfPartition(partition, []model.NodeShape{p.Shape})
	return p.Shape, err
}

// places are types and nodes together.
func places(types []instance.Type, nodes []Place) []Place {
	var all []Place
	for _, of := range types {
		all = append(all, Place{Type: of, Shape: TypeShape(of), Of: of.Name})
	}
	return append(all, nodes...)
}

// Alike are nodes in places, those that offer the same together. Each is one shape of a node
// that the node says of itself.
func Alike(shapes []model.NodeShape, typeOf map[string]string) []Place {
	shapes = slices.Clone(shapes)
	slices.SortStableFunc(shapes, func(a, b model.NodeShape) int { return cmp.Compare(a.Name, b.Name) })
	var all []Place
	for _, shape := range shapes {
		of := typeOf[shape.Name]
		same := slices.IndexFunc(all, func(p Place) bool {
			first := p.Shape
			first.Name = shape.Name
			return p.Of == of && reflect.DeepEqual(first, shape)
		})
		if same >= 0 {
			all[same].Nodes = append(all[same].Nodes, shape.Name)
			continue
		}
		all = append(all, Place{Shape: shape, Nodes: []string{shape.Name}, Of: of, Type: instance.Type{
			Name: shape.Name, CPUs: int(shape.CPU / model.Core), RAMGiB: float64(shape.Memory) / float64(model.GiB),
			GPUs: shape.GPUs.Count, GPU: shape.GPUs.Product, MemoryGiB: float64(shape.GPUs.Memory) / float64(model.GiB),
		}})
	}
	return all
}

// Unusable says why a node can take no pod now, or nothing.
func Unusable(n *corev1.Node) string {
	switch {
	case !n.DeletionTimestamp.IsZero():
		return "(is being deleted)"
	case !NodeReady(n):
		return "(not ready)"
	case n.Spec.Unschedulable:
		return "(cordoned)"
	}
	return ""
}

// NodeReady says whether the kubelet of a node says that it is.
func NodeReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// MadeFor says for which Workspace a node was made on demand, or nothing: nobody else uses it.
func MadeFor(n *corev1.Node) string {
	if n.Labels[nodelabel.NodePool] != nodelabel.PoolName {
		return ""
	}
	return fmt.Sprintf("(was made for Workspace %s)", strings.Trim(n.Labels[nodelabel.Namespace]+"/"+n.Labels[nodelabel.Workspace], "/"))
}
