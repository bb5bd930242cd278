package nodeclaim

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// ResourceStorage is how a claim asks for the size of its disk: no node ever shows it.
const ResourceStorage = corev1.ResourceStorage

// shapeOf is what a claim asks a provider for.
func shapeOf(claim *nodeclaim.NodeClaim, key node.Key) node.Shape {
	shape := node.Shape{
		InstanceTypes: wanted(claim, corev1.LabelInstanceTypeStable),
		CapacityTypes: wanted(claim, nodeclaim.LabelCapacityType),
		Zones:         wanted(claim, corev1.LabelTopologyZone),
		Labels:        map[string]string{},
		Taints:        slices.Clone(claim.Spec.Taints),
		ImageFamily:   claim.Annotations[nodeclaim.AnnotationImageFamily],
	}
	maps.Copy(shape.Labels, claim.Labels)
	shape.Labels[nodeclaim.LabelKey] = string(key)
	const gib = 1 << 30
	if disk, asked := claim.Spec.Resources.Requests[ResourceStorage]; asked {
		shape.DiskGiB = int((disk.Value() + gib - 1) / gib)
	}
	return shape
}

// wanted are the values of a claim's requirement, in its order.
func wanted(claim *nodeclaim.NodeClaim, key string) []string {
	var values []string
	for _, r := range claim.Spec.Requirements {
		if r.Key == key && r.Operator == corev1.NodeSelectorOpIn {
			values = append(values, r.Values...)
		}
	}
	return values
}

// labelsOf are the labels that a claim gets of its offer: kubectl shows them.
func labelsOf(claim *nodeclaim.NodeClaim, o node.Offer) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, claim.Labels)
	for key, value := range map[string]string{
		corev1.LabelInstanceTypeStable: o.InstanceType, nodeclaim.LabelCapacityType: o.CapacityType, corev1.LabelTopologyZone: o.Zone,
	} {
		delete(labels, key)
		if value != "" {
			labels[key] = value
		}
	}
	return labels
}
