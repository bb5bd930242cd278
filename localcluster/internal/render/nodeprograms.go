package render

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Names of a node's programs.
const (
	Containerd = "containerd"
	Kubelet    = "kubelet"
	Proxy      = "kube-proxy"
	GPUs       = "gpu-device-plugin"
)

// Commands are the programs of a node, in the order in which they start.
func (n Node) Commands() []Component {
	at := func(name string) string { return n.Cluster.Node(n.Spec.Name, name) }
	bin := func(name string) string { return filepath.Join(n.Programs, name) }
	kubelet := []string{
		bin(Kubelet), "--config", at("kubelet.yaml"), "--kubeconfig", at("kubelet.kubeconfig"),
		"--hostname-override", n.Spec.Name, "--node-ip", n.Cluster.NodeIP(n.Spec.Number),
		"--root-dir", KubeletDir, "--cert-dir", KubeletDir + "/pki", "--v", "2",
	}
	if l := n.kubeletLabels(); len(l) > 0 {
		kubelet = append(kubelet, "--node-labels", strings.Join(l, ","))
	}
	out := []Component{
		{Name: Containerd, Argv: []string{bin(Containerd), "--config", at("containerd.toml")}},
		{Name: Kubelet, Argv: kubelet},
		{Name: Proxy, Argv: []string{bin(Proxy), "--config", at("proxy.yaml"), "--v", "2"}},
	}
	if n.Spec.GPUs > 0 {
		out = append(out, Component{Name: GPUs, Argv: []string{
			bin(GPUs), "--resource", n.Spec.GPUResource, "--count", strconv.Itoa(n.Spec.GPUs),
			"--socket-dir", KubeletDir + "/device-plugins",
		}})
	}
	return out
}

// kubeletLabels are those that a kubelet may give itself; it refuses to start with others.
func (n Node) kubeletLabels() []string {
	out := []string{}
	for _, pair := range n.Spec.SortedLabels() {
		key, _, _ := strings.Cut(pair, "=")
		if ownLabel(key) {
			out = append(out, pair)
		}
	}
	return out
}

// AdminLabels are those that only an administrator may set: names of Kubernetes itself.
func (n Node) AdminLabels() map[string]string {
	out := map[string]string{}
	for k, v := range n.Spec.Labels {
		if !ownLabel(k) {
			out[k] = v
		}
	}
	return out
}

// ownLabel follows the kubelet's rule: outside of Kubernetes' own domains all is
// free; inside, two name spaces and a few well-known names are.
func ownLabel(key string) bool {
	space, _, found := strings.Cut(key, "/")
	if !found {
		return true
	}
	kubernetes := space == "kubernetes.io" || space == "k8s.io" || strings.HasSuffix(space, ".kubernetes.io") || strings.HasSuffix(space, ".k8s.io")
	if !kubernetes {
		return true
	}
	for _, free := range []string{"kubelet.kubernetes.io", "node.kubernetes.io"} {
		if space == free || strings.HasSuffix(space, "."+free) {
			return true
		}
	}
	switch key {
	case "topology.kubernetes.io/zone", "topology.kubernetes.io/region":
		return true
	}
	return false
}
