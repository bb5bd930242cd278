// Package state is what a cluster remembers about itself between two commands:
// its index on the machine, its programs, and the nodes with their shapes. What
// stands here is wanted; whether it runs is looked up elsewhere.
package state

import (
	"fmt"
	"maps"
	"slices"

	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/record"
)

// Cluster is the content of state.json.
type Cluster struct {
	// Name of the cluster.
	Name string `json:"name"`
	// Index on this machine; addresses follow from it.
	Index int `json:"index"`
	// Programs is the folder of the programs that the cluster runs.
	Programs string `json:"programs"`
	// Nodes by number.
	Nodes []Node `json:"nodes"`
}

// Node is one real node.
type Node struct {
	// Name in Kubernetes.
	Name string `json:"name"`
	// Number gives its addresses, from 1.
	Number int `json:"number"`
	// Shape is what the user asked for.
	Shape
	// Leaving is set while the node is being removed; up then finishes the removal.
	Leaving bool `json:"leaving,omitempty"`
}

// Shape is how a node looks to Kubernetes.
type Shape struct {
	// Labels of the Node object.
	Labels map[string]string `json:"labels,omitempty"`
	// Taints that the node registers with.
	Taints []Taint `json:"taints,omitempty"`
	// ProviderID of the machine that the node stands for.
	ProviderID string `json:"providerID,omitempty"`
	// MilliCPU is the allocatable CPU; 0 is all of the machine's.
	MilliCPU int64 `json:"milliCPU,omitempty"`
	// Memory is the allocatable memory in bytes; 0 is all of the machine's.
	Memory int64 `json:"memory,omitempty"`
	// GPUs is the number of stand-in GPUs.
	GPUs int `json:"gpus,omitempty"`
	// GPUResource is their resource name.
	GPUResource string `json:"gpuResource,omitempty"`
}

// Taint keeps pods away that do not tolerate it.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

// Load reads the state of a cluster; fs.ErrNotExist when there is none.
func Load(path string) (Cluster, error) {
	var c Cluster
	err := record.Read(path, &c)
	return c, err
}

// Save writes it in one step.
func (c Cluster) Save(path string) error { return record.Write(path, c) }

// Find is the node of that name.
func (c Cluster) Find(name string) (Node, bool) {
	i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return c.Nodes[i], true
}

// Staying are the nodes that are not being removed, by number.
func (c Cluster) Staying() []Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n Node) bool { return n.Leaving })
}

// Add puts a node in, under the first free number, and returns it.
func (c *Cluster) Add(name string, s Shape) (Node, error) {
	if err := layout.CheckName("node", name); err != nil {
		return Node{}, err
	}
	taken := map[int]bool{}
	for _, n := range c.Nodes {
		if n.Name == name {
			return Node{}, &ExistsError{Cluster: c.Name, Node: name}
		}
		taken[n.Number] = true
	}
	for k := 1; k <= layout.MaxNodes; k++ {
		if !taken[k] {
			n := Node{Name: name, Number: k, Shape: s}
			c.Nodes = append(c.Nodes, n)
			slices.SortFunc(c.Nodes, func(a, b Node) int { return a.Number - b.Number })
			return n, nil
		}
	}
	return Node{}, fmt.Errorf("add node %q: cluster %q has %d nodes already, which is the most; remove one first", name, c.Name, layout.MaxNodes)
}

// Replace changes the node of the same name.
func (c *Cluster) Replace(n Node) {
	for i := range c.Nodes {
		if c.Nodes[i].Name == n.Name {
			c.Nodes[i] = n
		}
	}
}

// Remove takes the node out.
func (c *Cluster) Remove(name string) {
	c.Nodes = slices.DeleteFunc(c.Nodes, func(n Node) bool { return n.Name == name })
}

// Grow adds node1, node2, … until the cluster has so many; it never removes one.
func (c *Cluster) Grow(count int) error {
	for k := 1; len(c.Staying()) < count; k++ {
		name := fmt.Sprintf("node%d", k)
		if _, there := c.Find(name); there {
			continue
		}
		if _, err := c.Add(name, Shape{}); err != nil {
			return err
		}
	}
	return nil
}

// ExistsError is the answer to a second node of the same name.
type ExistsError struct{ Cluster, Node string }

// Error says what to do.
func (e *ExistsError) Error() string {
	return fmt.Sprintf("node %q is in cluster %q already; choose another name, or remove it first", e.Node, e.Cluster)
}

// SortedLabels are key=value pairs in order.
func (s Shape) SortedLabels() []string {
	out := []string{}
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		out = append(out, k+"="+s.Labels[k])
	}
	return out
}
