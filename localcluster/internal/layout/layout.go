// Package layout says where everything of a cluster is: its addresses on this
// machine, its links and cgroups (from its index), and its files (from its
// folder). It is arithmetic only; nothing here looks at the machine.
package layout

import (
	"fmt"
	"path/filepath"
	"regexp"
)

// MaxClusters is how many clusters one machine can hold: the second byte of the
// pod and service ranges is 210 to 229 and 230 to 249.
const MaxClusters = 20

// MaxNodes is how many nodes a cluster can hold.
const MaxNodes = 16

// Ports on the bridge address.
const (
	EtcdPort       = 2379
	EtcdPeerPort   = 2380
	APIPort        = 6443
	ManagerPort    = 10257
	SchedulerPort  = 10259
	RegistryPort   = 5000
	FilesPort      = 8080
	DNSPort        = 53
	DNSMetricsPort = 9153
)

// names that Kubernetes accepts as a node's name, short enough for a hostname.
var names = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$`)

// CheckName says whether a cluster or a node can have this name; what is "cluster" or "node".
func CheckName(what, name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("%s name %q: use 1 to 50 lower-case letters, digits and hyphens, with a letter or digit at both ends", what, name)
	}
	return nil
}

// Cluster is one cluster's place on the machine.
type Cluster struct {
	// Name is the user's name for it.
	Name string
	// Index is its number on this machine, 0 to MaxClusters-1.
	Index int
	// Dir is its folder.
	Dir string
}

// New is the cluster of that name under the data root.
func New(root, name string, index int) Cluster {
	return Cluster{Name: name, Index: index, Dir: filepath.Join(root, name)}
}

// Bridge is the name of the cluster's bridge.
func (c Cluster) Bridge() string { return fmt.Sprintf("kl%d", c.Index) }

// Veth is the machine's end of the cable to node n.
func (c Cluster) Veth(n int) string { return fmt.Sprintf("kl%dn%d", c.Index, n) }

// HostIP is the address of the bridge: the control plane, the registry, DNS and
// the file server listen there and nowhere else.
func (c Cluster) HostIP() string { return fmt.Sprintf("10.200.%d.1", c.Index) }

// HostCIDR is the network of bridge and nodes.
func (c Cluster) HostCIDR() string { return fmt.Sprintf("10.200.%d.0/24", c.Index) }

// MAC is the hardware address of node n, and of the bridge for 0. It is fixed,
// so that what others remember of a node stays true when the node starts anew.
func (c Cluster) MAC(n int) string { return fmt.Sprintf("02:6b:6c:%02x:00:%02x", c.Index, n) }

// NodeIP is the address of node n, counted from 1.
func (c Cluster) NodeIP(n int) string { return fmt.Sprintf("10.200.%d.%d", c.Index, 10+n) }

// PodsCIDR holds the pods of all nodes.
func (c Cluster) PodsCIDR() string { return fmt.Sprintf("10.%d.0.0/16", 210+c.Index) }

// PodCIDR holds the pods of node n.
func (c Cluster) PodCIDR(n int) string { return fmt.Sprintf("10.%d.%d.0/24", 210+c.Index, n) }

// ServiceCIDR holds the cluster IPs.
func (c Cluster) ServiceCIDR() string { return fmt.Sprintf("10.%d.0.0/16", 230+c.Index) }

// APIServiceIP is the cluster IP of the API server.
func (c Cluster) APIServiceIP() string { return fmt.Sprintf("10.%d.0.1", 230+c.Index) }

// Ranges are the three ranges that belong to this cluster alone.
func (c Cluster) Ranges() []string { return []string{c.HostCIDR(), c.PodsCIDR(), c.ServiceCIDR()} }

// Server is the URL of the API server.
func (c Cluster) Server() string { return "https://" + c.Address(APIPort) }

// Address is host:port on the bridge.
func (c Cluster) Address(port int) string { return fmt.Sprintf("%s:%d", c.HostIP(), port) }

// CgroupParent is above all clusters.
const CgroupParent = "kaito-local"

// Cgroup is the cluster's group, relative to the root of each hierarchy.
func (c Cluster) Cgroup() string { return CgroupParent + "/" + c.Bridge() }

// ControlPlaneCgroup holds the processes that are not on a node.
func (c Cluster) ControlPlaneCgroup() string { return c.Cgroup() + "/control-plane" }

// NodeCgroup holds everything of one node.
func (c Cluster) NodeCgroup(node string) string { return c.Cgroup() + "/" + node }

// NodeSystemCgroup holds a node's own programs; pods are beside it.
func (c Cluster) NodeSystemCgroup(node string) string { return c.NodeCgroup(node) + "/system" }

// Path is a path in the cluster's folder.
func (c Cluster) Path(elem ...string) string {
	return filepath.Join(append([]string{c.Dir}, elem...)...)
}

// Kubeconfig is the administrator's.
func (c Cluster) Kubeconfig() string { return c.Path("kubeconfig") }

// StateFile holds the cluster's name, index and nodes.
func (c Cluster) StateFile() string { return c.Path("state.json") }

// LockFile is locked by the verb that changes the cluster.
func (c Cluster) LockFile() string { return c.Path("lock") }

// PKI is the folder of keys and certificates.
func (c Cluster) PKI(elem ...string) string { return c.Path(append([]string{"pki"}, elem...)...) }

// Conf is a rendered file of the control plane.
func (c Cluster) Conf(name string) string { return c.Path("conf", name) }

// Log is a control-plane component's log.
func (c Cluster) Log(component string) string { return c.Path("log", component+".log") }

// PidFile names the running process of a component or node.
func (c Cluster) PidFile(name string) string { return c.Path("run", name+".pid") }

// Node is a path in a node's folder.
func (c Cluster) Node(node string, elem ...string) string {
	return c.Path(append([]string{"nodes", node}, elem...)...)
}

// NodeLog is the log of one of a node's programs.
func (c Cluster) NodeLog(node, component string) string {
	return c.Node(node, "log", component+".log")
}
