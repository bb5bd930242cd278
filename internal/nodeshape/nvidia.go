package nodeshape

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/internal/model"
)

// The labels of NVIDIA's GPU feature discovery are called as the resource, with one of these
// behind it (NVIDIA/k8s-device-plugin, internal/lm/resource.go). With the strategy "single"
// those of nvidia.com/gpu tell of the slices, and the capability stays that of the GPU.
const (
	labelProduct  = ".product"
	labelMemory   = ".memory" // MiB
	labelReplicas = ".replicas"
	labelMajor    = model.ResourceNVIDIA + ".compute.major"
	labelMinor    = model.ResourceNVIDIA + ".compute.minor"
)

// sliceName finds the profile in the name of a product: NVIDIA-A100-SXM4-80GB-MIG-1g.10gb.
var sliceName = regexp.MustCompile(`-MIG-([0-9]+g\.[0-9]+gb[a-z.]*?)(-SHARED)?$`)

// nvidia are the kinds of NVIDIA's GPUs of a node.
func nvidia(n *corev1.Node, published model.GPUs) []model.GPUs {
	var all []model.GPUs
	resources := []string{model.ResourceNVIDIA}
	for _, name := range slices.Sorted(maps.Keys(n.Status.Allocatable)) {
		if strings.HasPrefix(string(name), model.ResourceSlice) {
			resources = append(resources, string(name))
		}
	}
	for _, resource := range resources {
		if have := count(n, resource); have > 0 {
			all = append(all, ofResource(n.Labels, resource, have, published))
		}
	}
	return all
}

// ofResource is what the labels of a node say of the GPUs of one resource.
func ofResource(labels map[string]string, resource string, have int, published model.GPUs) model.GPUs {
	g := model.GPUs{
		Count:      have,
		Memory:     model.Bytes(number(labels, resource+labelMemory)) * model.MiB,
		Capability: model.Capability{Major: number(labels, labelMajor), Minor: number(labels, labelMinor)},
	}
	if product := labels[resource+labelProduct]; product != "" {
		g.Kind = model.Label{Key: resource + labelProduct, Value: product}
		g.Product = strings.ReplaceAll(product, "-", " ")
		if found := sliceName.FindStringSubmatch(product); found != nil {
			g.Slice = found[1]
		}
	}
	if profile, cut := strings.CutPrefix(resource, model.ResourceSlice); cut {
		g.Resource, g.Slice = resource, profile
		if g.Kind.Key == "" { // the labels of the whole GPU, if there are any
			g.Kind = model.Label{Key: model.ResourceNVIDIA + labelProduct, Value: labels[model.ResourceNVIDIA+labelProduct]}
			g.Product = strings.TrimSpace(strings.ReplaceAll(g.Kind.Value, "-", " ") + " MIG " + profile)
		}
		if g.Kind.Value == "" {
			g.Kind = model.Label{}
		}
	}
	if g.Slice != "" {
		if g.Memory == 0 {
			g.Memory = model.SliceMemory(g.Slice)
		}
		published.Memory = 0 // that of a whole GPU
	}
	return shared(completed(g, published), number(labels, resource+labelReplicas))
}
