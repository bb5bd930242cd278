// Package node is the machine's side of the cluster's nodes: it gives a node its
// files, control groups, namespaces and cable, starts its first process, and
// takes all of it away again.
package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"kaito.sh/kaito/localcluster/internal/cgroup"
	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/network"
	"kaito.sh/kaito/localcluster/internal/nodeinit"
	"kaito.sh/kaito/localcluster/internal/pki"
	"kaito.sh/kaito/localcluster/internal/process"
	"kaito.sh/kaito/localcluster/internal/record"
	"kaito.sh/kaito/localcluster/internal/render"
	"kaito.sh/kaito/localcluster/internal/state"
)

// namespaces are a node's own.
const namespaces = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// stopGrace is longer than a node takes to stop by itself.
const stopGrace = 10 * time.Second

// MountPoints are fixed paths of the machine over which each node has its own
// folder. They must exist, and may have to be made.
func MountPoints() []string { return []string{render.KubeletDir, "/var/lib/cni"} }

// Host makes the nodes of one cluster.
type Host struct {
	// Cluster that the nodes belong to.
	Cluster layout.Cluster
	// Starter starts their first processes, in groups of Tree.
	Starter *process.Starter
	Tree    *cgroup.Tree
	// PKI has the cluster's keys.
	PKI pki.Store
	// Init is the command of a node's first process, without its plan.
	Init []string
	// Env is the environment of a node's programs.
	Env []string
	// Programs is the folder of the programs.
	Programs string
	// Machine is what the nodes share.
	Machine render.Machine
}

// Running answers whether the node's first process lives.
func (h Host) Running(name string) (process.Identity, bool) {
	return process.Find(h.Cluster.PidFile("node-" + name))
}

// Render is what the node's files are made from.
func (h Host) Render(n state.Node) render.Node {
	return render.Node{Cluster: h.Cluster, Spec: n, Machine: h.Machine, Programs: h.Programs}
}

// Start starts a node that does not run.
func (h Host) Start(ctx context.Context, n state.Node) error {
	if _, alive := h.Running(n.Name); alive {
		return nil
	}
	if err := h.prepare(ctx, n); err != nil {
		return fmt.Errorf("start node %q: %w", n.Name, err)
	}
	gate, open, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start node %q: %w", n.Name, err)
	}
	defer func() { _ = open.Close() }() // when the network fails, the node sees the end and goes
	id, err := h.Starter.Start(ctx, process.Spec{
		Name: "node " + n.Name, Argv: append(append([]string{}, h.Init...), "--plan", h.planFile(n.Name)),
		PidFile: h.Cluster.PidFile("node-" + n.Name), Cgroup: h.Cluster.NodeSystemCgroup(n.Name),
		Log: h.Cluster.NodeLog(n.Name, "init"), Namespaces: namespaces, Gate: gate,
	})
	err = errors.Join(err, gate.Close())
	if err != nil {
		return err
	}
	if err := h.connect(n, id.Pid); err != nil {
		return fmt.Errorf("start node %q: %w", n.Name, err)
	}
	if _, err := open.Write([]byte{1}); err != nil {
		return fmt.Errorf("start node %q: %w; its log is %s", n.Name, err, h.Cluster.NodeLog(n.Name, "init"))
	}
	return nil
}

func (h Host) planFile(name string) string { return h.Cluster.Node(name, "plan.json") }

// prepare writes the node's files and makes its control groups.
func (h Host) prepare(ctx context.Context, n state.Node) error {
	r := h.Render(n)
	if err := h.Machine.Check(n.Shape); err != nil {
		return err
	}
	if _, err := h.Starter.Empty(ctx, h.Tree, h.Cluster.NodeCgroup(n.Name)); err != nil {
		return err
	}
	// The kubelet would ask containerd for each dead container whose group it
	// finds, three seconds long, before the node becomes Ready.
	if err := h.Starter.Dissolve(ctx, h.Tree, h.Cluster.NodeCgroup(n.Name)); err != nil {
		return err
	}
	if err := h.identity(n); err != nil {
		return err
	}
	for _, f := range r.Files() {
		if err := record.WriteFile(f.Path, []byte(f.Content), 0o644); err != nil {
			return err
		}
	}
	if err := record.Write(h.planFile(n.Name), h.plan(r)); err != nil {
		return err
	}
	if err := h.Tree.Make(h.Cluster.NodeSystemCgroup(n.Name)); err != nil {
		return err
	}
	return h.Tree.Limit(h.Cluster.NodeCgroup(n.Name), r.Limits())
}

// identity makes the kubelet's certificates.
func (h Host) identity(n state.Node) error {
	ca, err := h.PKI.Authority("ca")
	if err != nil {
		return err
	}
	user, groups := "system:node:"+n.Name, []string{"system:nodes"}
	client := pki.Leaf{File: "kubelet-" + n.Name, Name: user, Groups: groups}
	server := pki.Leaf{File: "kubelet-server-" + n.Name, Name: user, Groups: groups, Hosts: []string{n.Name, h.Cluster.NodeIP(n.Number)}}
	if err := errors.Join(ca.Issue(client), ca.Issue(server)); err != nil {
		return err
	}
	return h.PKI.Kubeconfig(h.Cluster.Node(n.Name, "kubelet.kubeconfig"), "kubelet", h.Cluster.Server(), client.File)
}

// plan is what the node's first process does.
func (h Host) plan(r render.Node) nodeinit.Plan {
	name := r.Spec.Name
	p := nodeinit.Plan{
		Name: name, Env: h.Env,
		Binds: []nodeinit.Bind{
			{From: h.Cluster.Node(name, "kubelet"), To: render.KubeletDir},
			{From: h.Cluster.Node(name, "cni-cache"), To: "/var/lib/cni"},
			{From: h.Cluster.Node(name, "pods-log"), To: "/var/log"},
		},
		Folders: []string{render.KubeletDir + "/device-plugins"},
		Settings: map[string]string{
			"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/rp_filter": "0", "net/bridge/bridge-nf-call-iptables": "1",
		},
	}
	for _, c := range r.Commands() {
		program := nodeinit.Program{Name: c.Name, Argv: c.Argv, Log: h.Cluster.NodeLog(name, c.Name)}
		if c.Name == render.Containerd {
			program.Socket = render.ContainerdSocket
		}
		p.Programs = append(p.Programs, program)
	}
	return p
}

// connect plugs the node in and leads its pods' range to it.
func (h Host) connect(n state.Node, pid int) error {
	err := network.Plug(network.Cable{
		Bridge: h.Cluster.Bridge(), Host: h.Cluster.Veth(n.Number), Pid: pid, MAC: h.Cluster.MAC(n.Number),
		Address: h.Cluster.NodeIP(n.Number) + "/24", Gateway: h.Cluster.HostIP(),
	})
	if err != nil {
		return err
	}
	return network.Route(h.Cluster.PodCIDR(n.Number), h.Cluster.NodeIP(n.Number))
}

// Wire makes every running node know the way to the pods of the others, and
// leads the services' range to the first of them.
func (h Host) Wire(nodes []state.Node) error {
	first := ""
	for _, n := range nodes {
		id, alive := h.Running(n.Name)
		if !alive {
			continue
		}
		if first == "" {
			first = h.Cluster.NodeIP(n.Number)
		}
		ways := map[string]string{}
		for _, other := range nodes {
			if other.Name != n.Name {
				ways[h.Cluster.PodCIDR(other.Number)] = h.Cluster.NodeIP(other.Number)
			}
		}
		if err := network.Peers(id.Pid, h.Cluster.PodsCIDR(), ways); err != nil {
			return fmt.Errorf("wire node %q: %w", n.Name, err)
		}
	}
	if first == "" {
		return network.Unroute(h.Cluster.ServiceCIDR())
	}
	return network.Route(h.Cluster.ServiceCIDR(), first)
}

// Stop ends a node and everything on it, and takes its cable and groups away.
// Its folder stays.
func (h Host) Stop(ctx context.Context, n state.Node) error {
	if _, err := h.Starter.Stop(ctx, h.Cluster.PidFile("node-"+n.Name), stopGrace); err != nil {
		return fmt.Errorf("stop node %q: %w", n.Name, err)
	}
	_, err := h.Starter.Empty(ctx, h.Tree, h.Cluster.NodeCgroup(n.Name))
	if err == nil {
		err = h.Starter.Dissolve(ctx, h.Tree, h.Cluster.NodeCgroup(n.Name))
	}
	if err := errors.Join(err, network.Unroute(h.Cluster.PodCIDR(n.Number)), network.Unlink(h.Cluster.Veth(n.Number))); err != nil {
		return fmt.Errorf("stop node %q: %w", n.Name, err)
	}
	return nil
}

// Erase removes the folder and the keys of a node that is stopped.
func (h Host) Erase(name string) error {
	errs := []error{os.RemoveAll(h.Cluster.Node(name))}
	for _, leaf := range []string{"kubelet-" + name, "kubelet-server-" + name} {
		errs = append(errs, os.RemoveAll(h.PKI.Cert(leaf)), os.RemoveAll(h.PKI.Key(leaf)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("erase node %q: %w", name, err)
	}
	return nil
}

// Socket is containerd's socket of a running node, seen from the machine.
func (h Host) Socket(id process.Identity) string {
	return filepath.Join("/proc", fmt.Sprint(id.Pid), "root", render.ContainerdSocket)
}
