package workspace

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
)

// gpuResource is what NVIDIA's device plugin offers on a node.
const gpuResource corev1.ResourceName = "nvidia.com/gpu"

// The labels that NVIDIA's GPU feature discovery writes.
const (
	labelGPUProduct  = "nvidia.com/gpu.product"
	labelGPUMemory   = "nvidia.com/gpu.memory" // MiB
	labelGPUReplicas = "nvidia.com/gpu.replicas"
	labelGPUMajor    = "nvidia.com/gpu.compute.major"
	labelGPUMinor    = "nvidia.com/gpu.compute.minor"
)

// gpus are those that a node offers to pods: what was discovered on the node itself,
// else what the provider publishes of its instance type.
func gpus(n *corev1.Node, types *instance.Table) model.GPUs {
	allocatable := n.Status.Allocatable[gpuResource]
	count := int(allocatable.Value())
	if count == 0 {
		return model.GPUs{}
	}
	found := discovered(n.Labels)
	name := n.Labels[corev1.LabelInstanceTypeStable]
	if published, ok := types.Lookup(name); ok {
		shape := published.Shape()
		if found.Kind.Key == "" {
			found.Kind, found.Product = model.Label{Key: corev1.LabelInstanceTypeStable, Value: name}, shape.Product
		}
		if found.Memory == 0 {
			found.Memory = shape.Memory
		}
		if !found.Capability.Known() {
			found.Capability = shape.Capability
		}
	}
	found.Count = count
	if replicas := number(n.Labels, labelGPUReplicas); replicas > 1 {
		// Several of them are one card: its memory is shared, and layers cannot be spread over it.
		found.Count, found.Memory = 1, found.Memory/model.Bytes(replicas)
	}
	return found
}

// discovered is what the labels of a node say; what they leave out stays zero.
func discovered(labels map[string]string) model.GPUs {
	g := model.GPUs{
		Memory:     model.Bytes(number(labels, labelGPUMemory)) * model.MiB,
		Capability: model.Capability{Major: number(labels, labelGPUMajor), Minor: number(labels, labelGPUMinor)},
	}
	if product := labels[labelGPUProduct]; product != "" {
		g.Kind = model.Label{Key: labelGPUProduct, Value: product}
		g.Product = strings.ReplaceAll(product, "-", " ")
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
