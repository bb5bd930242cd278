// Package render writes everything that the cluster's programs read: command
// lines, configuration files and the few objects that stand in every cluster. It
// is pure: the same cluster gives the same bytes, kept as goldens in testdata.
package render

import (
	"path/filepath"

	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/state"
)

// PauseImage holds a pod's namespaces; it is imported into each node.
const PauseImage = "kaito.local/pause:1"

// Names under which pods find what runs beside the control plane.
const (
	RegistryHost = "registry.local"
	FilesHost    = "files.local"
)

// ContainerdSocket is where containerd listens in a node's private /run.
const ContainerdSocket = "/run/containerd/containerd.sock"

// KubeletDir is a constant of the kubelet's device plugin API; each node has its
// own folder mounted there.
const KubeletDir = "/var/lib/kubelet"

// Machine is what a node is a part of.
type Machine struct {
	// MilliCPU are its CPUs in thousandths.
	MilliCPU int64
	// Memory in bytes.
	Memory int64
}

// Node is all that a node's files depend on.
type Node struct {
	// Cluster that it belongs to.
	Cluster layout.Cluster
	// Spec is the node as the user asked for it.
	Spec state.Node
	// Machine under it.
	Machine Machine
	// Programs is the folder of the programs.
	Programs string
}

// File is a rendered file.
type File struct {
	// Path on the machine.
	Path string
	// Content of the file.
	Content string
}

// Files are the configuration of one node.
func (n Node) Files() []File {
	at := func(name string) string { return n.Cluster.Node(n.Spec.Name, name) }
	return []File{
		{at("containerd.toml"), n.Containerd()},
		{filepath.Join(at("certs.d"), RegistryHost+":5000", "hosts.toml"), RegistryHosts(n.Cluster)},
		{filepath.Join(at("certs.d"), n.Cluster.Address(layout.RegistryPort), "hosts.toml"), RegistryHosts(n.Cluster)},
		{filepath.Join(at("cni"), "10-kaito.conflist"), n.CNI()},
		{at("resolv.conf"), "nameserver " + n.Cluster.HostIP() + "\n"},
		{at("kubelet.yaml"), n.Kubelet()},
		{at("proxy.yaml"), n.Proxy()},
	}
}
