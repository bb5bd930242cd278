package sizing

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine/vllm"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
)

// Unsupported is honest about fields that this version does not act on: parts of nodes that
// are made for a Workspace, which has them alone, and several GPUs for a training.
func Unsupported(ws *v1beta1.Workspace) *Objection {
	part := ws.Resource.Partition
	switch {
	case part == nil:
		return nil
	case ws.Resource.InstanceType != "":
		return object(v1beta1.NotYetSupported([]string{"resource.partition together with resource.instanceType"}))
	case ws.Tuning != nil && part.Mode == v1beta1.PartitionAccelerator && part.Count > 1:
		return object(v1beta1.NotYetSupported([]string{"a resource.partition.count of more than 1 for a tuning"}))
	}
	return nil
}

// WithPartition are wishes with the number of GPUs that a partition names, where the settings
// name none.
func WithPartition(part *v1beta1.PartitionSpec, wishes model.Wishes) model.Wishes {
	if part == nil || part.Mode != v1beta1.PartitionAccelerator || wishes[vllm.Name].GPUs > 0 {
		return wishes
	}
	all := maps.Clone(wishes)
	if all == nil {
		all = model.Wishes{}
	}
	wish := all[vllm.Name]
	wish.GPUs = int(part.Count)
	all[vllm.Name] = wish
	return all
}

// OfPartition are the nodes as far as a partition goes: slices of its profile, or whole GPUs
// where there are as many as it names. An error says that no node offers such; nodes without a
// partition stay as they are.
func OfPartition(part *v1beta1.PartitionSpec, nodes []model.NodeShape) ([]model.NodeShape, error) {
	if part == nil {
		return nodes, nil
	}
	var all []model.NodeShape
	for _, n := range nodes {
		g := n.GPUs
		sliced := part.Mode == v1beta1.PartitionMIG && g.Slice != "" && g.Slice == part.Profile
		whole := part.Mode == v1beta1.PartitionAccelerator && g.Slice == "" && g.Count >= int(part.Count)
		if sliced || whole {
			all = append(all, n)
		}
	}
	if len(all) == 0 && len(nodes) > 0 {
		return nil, &PartitionError{Partition: *part, Nodes: nodes}
	}
	return all, nil
}

// TypePart is what a node of a type offers of a partition before there is one, with all of its
// GPUs cut into slices where the partition asks for some.
func TypePart(of instance.Type, part *v1beta1.PartitionSpec) (model.NodeShape, error) {
	shape := TypeShape(of)
	if part == nil {
		return shape, nil
	}
	if part.Mode == v1beta1.PartitionMIG {
		cut, ok := of.Slices(part.Profile)
		if !ok {
			return shape, &UncutError{Node: of.Name, Product: of.GPU, Profile: part.Profile, Profiles: of.Profiles()}
		}
		cut.Kind = model.Label{Key: corev1.LabelInstanceTypeStable, Value: of.Name}
		shape.GPUs = cut
	}
	_, err := OfPartition(part, []model.NodeShape{shape})
	return shape, err
}

// PartitionError says that no node offers what a partition asks for.
type PartitionError struct {
	// Partition is resource.partition.
	Partition v1beta1.PartitionSpec
	// Nodes are those that there are, as they are.
	Nodes []model.NodeShape
}

// Error says what nodes offer instead, and what helps.
func (e *PartitionError) Error() string {
	if e.Partition.Mode == v1beta1.PartitionMIG {
		return fmt.Sprintf("no node offers slices %s, which resource.partition asks for (%s%s, or %s where all GPUs are cut alike): %s; let the nodes' GPUs be cut so, or create a Workspace with a profile that is offered",
			e.Partition.Profile, model.ResourceSlice, e.Partition.Profile, model.ResourceNVIDIA, offers(e.Nodes))
	}
	return fmt.Sprintf("no node offers %d whole GPUs, which resource.partition asks for: %s; create a Workspace with a smaller count, or select other nodes",
		e.Partition.Count, offers(e.Nodes))
}

// offers are the GPUs of nodes, in their order; those of many nodes are cut off.
func offers(nodes []model.NodeShape) string {
	const most = 5
	var all []string
	for _, n := range nodes[:min(len(nodes), most)] {
		what := "no GPUs"
		if g := n.GPUs; g.Count > 0 {
			what = strings.TrimSpace(fmt.Sprintf("%d x %s", g.Count, g.Product))
		}
		all = append(all, fmt.Sprintf("node %q has %s", n.Name, what))
	}
	slices.Sort(all)
	if more := len(nodes) - most; more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

// UncutError says that the GPUs of a type cannot be cut into slices of a profile.
type UncutError struct {
	// Node is the name of the type, Product what its GPUs are called.
	Node, Product string
	// Profile was asked for, Profiles are those that there are.
	Profile  string
	Profiles []string
}

// Error names the profiles that there are.
func (e *UncutError) Error() string {
	switch {
	case e.Product == "":
		return fmt.Sprintf("there are no GPUs on node %q, and resource.partition asks for slices %s", e.Node, e.Profile)
	case len(e.Profiles) == 0:
		return fmt.Sprintf("the GPUs of node %q, %s, cannot be cut into slices, and resource.partition asks for %s", e.Node, e.Product, e.Profile)
	}
	return fmt.Sprintf("the GPUs of node %q, %s, cannot be cut into slices %s: they can into %s", e.Node, e.Product, e.Profile, strings.Join(e.Profiles, ", "))
}
