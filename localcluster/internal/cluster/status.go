package cluster

import (
	"context"

	"kaito.sh/kaito/localcluster/internal/kube"
	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/process"
	"kaito.sh/kaito/localcluster/internal/render"
	"kaito.sh/kaito/localcluster/internal/state"
)

// Status is how a cluster is doing.
type Status struct {
	Name       string            `json:"name"`
	Index      int               `json:"index"`
	Dir        string            `json:"dir"`
	Programs   string            `json:"programs"`
	Kubeconfig string            `json:"kubeconfig"`
	Server     string            `json:"server"`
	Registry   string            `json:"registry"`
	Files      string            `json:"files"`
	Pods       string            `json:"podCIDR"`
	Services   string            `json:"serviceCIDR"`
	Ready      bool              `json:"ready"`
	Components []ComponentStatus `json:"components"`
	Nodes      []NodeStatus      `json:"nodes"`
}

// ComponentStatus is one program outside of nodes.
type ComponentStatus struct {
	Name    string `json:"name"`
	Running bool   `json:"running"`
	Pid     int    `json:"pid,omitempty"`
	Log     string `json:"log"`
}

// NodeStatus is one node.
type NodeStatus struct {
	state.Node
	Address string `json:"address"`
	PodCIDR string `json:"podCIDR"`
	Running bool   `json:"running"`
	Pid     int    `json:"pid,omitempty"`
	// Ready is Kubernetes' word on the node: True, False or Unknown.
	Ready string `json:"ready"`
	// Message says why it is not Ready.
	Message     string            `json:"message,omitempty"`
	Allocatable map[string]string `json:"allocatable,omitempty"`
}

// Status looks at everything; Ready is true when all of it works.
func (l *Launcher) Status(ctx context.Context) (Status, error) {
	w, err := l.open()
	if err != nil {
		return Status{}, err
	}
	s := Status{
		Name: l.Name, Index: w.place.Index, Dir: w.place.Dir, Programs: w.state.Programs, Kubeconfig: w.place.Kubeconfig(),
		Server: w.place.Server(), Registry: w.place.Address(layout.RegistryPort), Files: "http://" + w.place.Address(layout.FilesPort),
		Pods: w.place.PodsCIDR(), Services: w.place.ServiceCIDR(), Ready: true,
	}
	for _, c := range l.components(w.place, w.state.Programs) {
		id, alive := process.Find(w.place.PidFile(c.Name))
		cs := ComponentStatus{Name: c.Name, Running: alive, Log: w.place.Log(c.Name)}
		if alive {
			cs.Pid = id.Pid
		}
		s.Ready = s.Ready && alive
		s.Components = append(s.Components, cs)
	}
	_, serving := process.Find(w.place.PidFile(render.APIServer))
	for _, n := range w.state.Nodes {
		ns := NodeStatus{Node: n, Address: w.place.NodeIP(n.Number), PodCIDR: w.place.PodCIDR(n.Number), Ready: "Unknown"}
		if id, alive := w.nodes.Running(n.Name); alive {
			ns.Running, ns.Pid = true, id.Pid
		}
		if serving {
			l.ask(ctx, w, &ns)
		}
		s.Ready = s.Ready && ns.Running && ns.Ready == "True"
		s.Nodes = append(s.Nodes, ns)
	}
	return s, nil
}

// ask fills in what Kubernetes says of a node.
func (l *Launcher) ask(ctx context.Context, w raised, ns *NodeStatus) {
	var n kube.Node
	if err := w.client.Get(ctx, kube.NodePath(ns.Name), &n); err != nil {
		ns.Message = err.Error()
		return
	}
	ready := n.Ready()
	ns.Ready, ns.Allocatable = ready.Status, n.Status.Allocatable
	if ready.Status != "True" {
		ns.Message = ready.Message
	}
}
