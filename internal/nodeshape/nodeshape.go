// Package nodeshape reads what a node offers to pods into the nouns of the planner: processor,
// memory, disk, and the GPUs of NVIDIA and AMD, whole or in slices, by what device plugins and
// their labellers say of them.
package nodeshape

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
)

// Of are the shapes of a node: one for each kind of GPUs that it offers, or one without GPUs.
// What a node does not say of its GPUs is taken from what the provider publishes of its type;
// a nil table holds none. Taken is what pods of others have of the node's resources.
func Of(n *corev1.Node, types *instance.Table, taken corev1.ResourceList) []model.NodeShape {
	bare := model.NodeShape{
		Name:   n.Name,
		CPU:    model.MilliCPU(within(n.Status.Allocatable.Cpu().MilliValue())),
		Memory: model.Bytes(within(n.Status.Allocatable.Memory().Value())),
		Disk:   model.Bytes(within(n.Status.Allocatable.StorageEphemeral().Value())),
	}
	var all []model.NodeShape
	for _, gpus := range kinds(n, types) {
		with, resource := bare, model.ResourceOf(gpus.Resource)
		with.GPUs = gpus
		gone := taken[corev1.ResourceName(resource)]
		// Of a card that several pods share one part is counted, and taken once all parts are.
		free := max(0, count(n, resource)-int(gone.Value()))
		with.GPUs.Taken = max(0, gpus.Count-free)
		all = append(all, with)
	}
	if len(all) == 0 {
		return []model.NodeShape{bare}
	}
	return all
}

// kinds are the kinds of GPUs that a node offers: NVIDIA's whole ones first, then slices by
// profile, then AMD's.
func kinds(n *corev1.Node, types *instance.Table) []model.GPUs {
	published, _ := types.Lookup(n.Labels[corev1.LabelInstanceTypeStable])
	shape := published.Shape()
	shape.Kind = model.Label{Key: corev1.LabelInstanceTypeStable, Value: published.Name}
	all := nvidia(n, shape)
	if amd := amd(n, shape); amd.Count > 0 {
		all = append(all, amd)
	}
	return all
}

// count is how many of a resource a node offers; nobody has built one with more.
func count(n *corev1.Node, resource string) int {
	const most = 1 << 10
	amount := n.Status.Allocatable[corev1.ResourceName(resource)]
	return int(min(max(0, amount.Value()), most))
}

// within keeps what a node says of itself to what the planner can multiply.
func within(amount int64) int64 {
	const most = 1 << 50
	return min(max(0, amount), most)
}

// completed fills in what a node does not say with what is published of its type.
func completed(found, published model.GPUs) model.GPUs {
	if published.Count == 0 || published.Vendor() != found.Vendor() {
		return found
	}
	if found.Kind.Key == "" {
		found.Kind, found.Product = published.Kind, published.Product
	}
	if found.Memory == 0 {
		found.Memory = published.Memory
	}
	if !found.Capability.Known() {
		found.Capability = published.Capability
	}
	if found.Target == "" {
		found.Target = published.Target
	}
	return found
}

// shared is what one pod gets of GPUs that several pods share: one of them, and its part of
// the memory, because what looks like several may be one card.
func shared(g model.GPUs, replicas int) model.GPUs {
	if replicas > 1 {
		g.Count, g.Memory = 1, g.Memory/model.Bytes(replicas)
	}
	return g
}

// number is a label that counts something; what counts nothing is 0.
func number(labels map[string]string, key string) int {
	const most = 1 << 30 // more MiB than any card has
	n, err := strconv.Atoi(labels[key])
	if err != nil || n < 0 || n > most {
		return 0
	}
	return n
}
