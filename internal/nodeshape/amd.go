package nodeshape

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/internal/model"
)

// The labels of AMD's node labeller are called so, and in older versions have "beta." before
// them and the value in the name: beta.amd.com/gpu.vram.192G=8. Where a node has GPUs of two
// kinds, newer ones are written so as well (ROCm/k8s-device-plugin, cmd/k8s-node-labeller).
const (
	labelAMDProduct = "amd.com/gpu.product-name"
	labelAMDDevice  = "amd.com/gpu.device-id"
	labelAMDMemory  = "amd.com/gpu.vram" // whole GiB, rounded: 192G
	// labelAMDPartition tells of GPUs that are cut: spx_nps1 is whole ones.
	labelAMDPartition = "amd.com/compute-memory-partition"
	wholeAMD          = "spx_nps1"
	beta              = "beta."
)

// amd are AMD's GPUs of a node; none where it has none. GPUs that are cut are not planned for:
// what is known of them is left out, so that the planner says so.
func amd(n *corev1.Node, published model.GPUs) model.GPUs {
	have := count(n, model.ResourceAMD)
	if have == 0 {
		return model.GPUs{}
	}
	g := model.GPUs{Count: have, Resource: model.ResourceAMD}
	key, product := labelled(n.Labels, labelAMDProduct)
	id, device := labelled(n.Labels, labelAMDDevice)
	switch {
	case product != "":
		g.Kind = model.Label{Key: key, Value: n.Labels[key]}
		g.Product = strings.ReplaceAll(product, "_", " ")
	case device != "":
		g.Kind = model.Label{Key: id, Value: n.Labels[id]}
		g.Product = "AMD GPU " + device
	}
	if how := n.Labels[labelAMDPartition]; how != "" && how != wholeAMD {
		g.Product = strings.TrimSpace(g.Product + " in the partitions " + how)
		return g
	}
	_, memory := labelled(n.Labels, labelAMDMemory)
	g.Memory, g.Target = vram(memory), target(strings.ToLower(device), g.Product)
	return completed(g, published)
}

// labelled is the one value of a property, and the label that says it; nothing where GPUs differ.
func labelled(labels map[string]string, name string) (key, value string) {
	for _, key := range []string{name, beta + name} {
		if labels[key] != "" {
			return key, labels[key]
		}
	}
	for _, prefix := range []string{beta + name + ".", name + "."} {
		var found []string
		for k := range labels {
			if value, ok := strings.CutPrefix(k, prefix); ok {
				found = append(found, value)
			}
		}
		if len(found) == 1 {
			return prefix + found[0], found[0]
		}
	}
	return "", ""
}

// vram reads a size such as 192G. It is rounded to whole GiB, so a half less is certain.
func vram(text string) model.Bytes {
	const most = 1 << 12
	gib, err := strconv.Atoi(strings.TrimSuffix(text, "G"))
	if err != nil || gib <= 0 || gib > most {
		return 0
	}
	return model.Bytes(gib)*model.GiB - model.GiB/2
}

// target is the instruction set by the id of a device, in hexadecimal digits, else by the name
// of its product; empty is not known. The labeller does not say it. The ids are those of
// libdrm's amdgpu.ids and of vLLM's platforms/rocm.py, the sets those of LLVM's AMDGPU page.
func target(device, product string) string {
	byDevice := map[string]string{
		"7408": "gfx90a", "740c": "gfx90a", "740f": "gfx90a", // MI250X, MI250, MI210
		"74a0": "gfx942", "74a1": "gfx942", "74a2": "gfx942", "74a5": "gfx942", "74a8": "gfx942", "74a9": "gfx942", // MI300A, MI300X, MI308X, MI325X
		"74b5": "gfx942", "74b6": "gfx942", "74b9": "gfx942", "74bd": "gfx942", // the same, virtual
		"75a0": "gfx950", "75a3": "gfx950", "75b0": "gfx950", "75b3": "gfx950", // MI350X, MI355X
		"7362": "gfx1011", "73a1": "gfx1030", "73ae": "gfx1030", // V520, V620
		"7448": "gfx1100", "744c": "gfx1100", "745e": "gfx1100", // W7900, RX 7900, W7800
		"150e": "gfx1150", "1586": "gfx1151", // 890M, 8060S
		"7550": "gfx1201", "7551": "gfx1201", // RX 9070, R9700
	}
	if t, ok := byDevice[device]; ok {
		return t
	}
	for _, known := range []struct{ name, target string }{
		{"MI210", "gfx90a"},
		{"MI250", "gfx90a"},
		{"MI300", "gfx942"},
		{"MI308", "gfx942"},
		{"MI325", "gfx942"},
		{"MI350", "gfx950"},
		{"MI355", "gfx950"},
		{"V520", "gfx1011"},
		{"V620", "gfx1030"},
	} {
		if strings.Contains(product, known.name) {
			return known.target
		}
	}
	return ""
}
