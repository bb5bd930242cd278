package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kaito.sh/kaito/internal/node"
)

// stage is how far a node is.
type stage int

const (
	unseen stage = iota
	joined
	ready
	whole
)

const (
	// tick is how often the kubelets' loop looks what is due.
	tick = 200 * time.Millisecond
	// hands write at once.
	hands = 16
	// leaseSeconds is how long a kubelet's word is good for.
	leaseSeconds = 40
)

// record is what a restarted cloud reads of a machine from its node.
type record struct {
	Owner node.Owner `json:"owner"`
	Offer node.Offer `json:"offer"`
	Asked time.Time  `json:"asked"`
}

// Start is the kubelets of all machines, and what else in a cluster follows machines: it
// writes what is due until ctx ends. Errors are tried again.
func (c *Cloud) Start(ctx context.Context) error {
	if c.o.Client == nil {
		<-ctx.Done()
		return nil
	}
	ticker := c.o.Clock.NewTicker(tick)
	defer ticker.Stop()
	renewed, said := time.Time{}, ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		err := c.Step(ctx) // what failed is due again with the next tick
		if now := c.o.Clock.Now(); c.o.LeaseEvery > 0 && now.Sub(renewed) >= c.o.LeaseEvery {
			renewed = now
			err = errors.Join(err, c.renew(ctx))
		}
		if err != nil && err.Error() != said && ctx.Err() == nil {
			said = err.Error()
			log.FromContext(ctx).Info("simulated nodes are not up to date", "why", said)
		}
	}
}

// NeedLeaderElection is true: two kubelets of one node would quarrel.
func (c *Cloud) NeedLeaderElection() bool { return true }

// task is one thing that is due.
type task struct {
	node *corev1.Node
	to   stage
	key  node.Key
	// serial is that of the machine as it was when the task was found.
	serial int
}

// Step writes what is due now, and returns what went wrong.
func (c *Cloud) Step(ctx context.Context) error {
	return many(c.due(), func(t task) error { return c.show(ctx, t) })
}

// due finds what the cluster has not seen yet.
func (c *Cloud) due() []task {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pass()
	now := c.o.Clock.Now()
	var tasks []task
	for _, name := range slices.Sorted(maps.Keys(c.gone)) {
		tasks = append(tasks, task{node: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}})
	}
	for _, key := range slices.Sorted(maps.Keys(c.machines)) {
		m := c.machines[key]
		to := m.reached(now)
		if c.gone[nodeName(key)] || to <= m.shown {
			continue
		}
		tasks = append(tasks, task{node: c.node(m, to), to: to, key: key, serial: m.serial})
	}
	return tasks
}

// reached is how far its node is by now.
func (m *machine) reached(now time.Time) stage {
	switch {
	case !due(m.joins, now):
		return unseen
	case !due(m.readies, now):
		return joined
	case m.offer.GPUs > 0 && !due(m.gpus, now):
		return ready
	default:
		return whole
	}
}

// show writes one node as it is now.
func (c *Cloud) show(ctx context.Context, t task) error {
	if t.to == unseen {
		return c.leave(ctx, t.node)
	}
	wanted := t.node
	have := &corev1.Node{}
	err := c.o.Client.Get(ctx, client.ObjectKeyFromObject(wanted), have)
	switch {
	case apierrors.IsNotFound(err):
		have = wanted.DeepCopy()
		have.Status = corev1.NodeStatus{}
		err = c.o.Client.Create(ctx, have)
	case err == nil && !have.DeletionTimestamp.IsZero():
		return nil // a kubelet waits until its old Node is gone
	}
	if err != nil {
		return fmt.Errorf("join the node %q: %w", wanted.Name, err)
	}
	was := have.DeepCopy()
	have.Status = wanted.Status
	if err := c.o.Client.Status().Patch(ctx, have, client.MergeFrom(was)); err != nil {
		return fmt.Errorf("write the status of node %q: %w", wanted.Name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.machines[t.key]; m != nil && m.serial == t.serial {
		m.shown, m.seen = max(m.shown, t.to), true
	} else {
		c.gone[wanted.Name] = true // it went away meanwhile
	}
	return nil
}

// leave takes a node whose machine is gone out of the cluster, as a cloud's controller does.
func (c *Cloud) leave(ctx context.Context, n *corev1.Node) error {
	err := c.o.Client.Get(ctx, client.ObjectKeyFromObject(n), n)
	if err == nil {
		was := n.DeepCopy()
		setReady(n, corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.", c.o.Clock.Now())
		err = errors.Join(
			client.IgnoreNotFound(c.o.Client.Status().Patch(ctx, n, client.MergeFrom(was))),
			client.IgnoreNotFound(c.o.Client.Delete(ctx, n)),
		)
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("take the node %q out: %w", n.Name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.gone, n.Name)
	return nil
}

// node is the node of a machine; the lock is held.
func (c *Cloud) node(m *machine, at stage) *corev1.Node {
	labels := map[string]string{
		corev1.LabelHostname: nodeName(m.key), corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		corev1.LabelInstanceTypeStable: m.offer.InstanceType, Label: string(m.key),
	}
	if m.offer.Zone != "" {
		labels[corev1.LabelTopologyZone] = m.offer.Zone
	}
	maps.Copy(labels, m.shape.Labels)
	// Nothing in it fails to be written.
	kept, _ := json.Marshal(record{Owner: m.owner, Offer: m.offer, Asked: m.asked}) //nolint:errchkjson // see above
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: nodeName(m.key), Labels: labels, Annotations: map[string]string{annotationRecord: string(kept)}},
		Spec:       corev1.NodeSpec{ProviderID: providerID(m.key), Taints: slices.Clone(m.shape.Taints)},
	}
	n.Status.Capacity = maps.Clone(m.offer.Capacity)
	if at < whole {
		hide(n.Status.Capacity)
	}
	n.Status.Allocatable = maps.Clone(n.Status.Capacity)
	n.Status.NodeInfo = corev1.NodeSystemInfo{
		KubeletVersion: "v1.37.2", ContainerRuntimeVersion: "containerd://2.3.4", OperatingSystem: "linux", Architecture: "amd64",
	}
	if at >= ready {
		setReady(n, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status", m.readies)
	} else {
		setReady(n, corev1.ConditionFalse, "KubeletNotReady", "container runtime network not ready", m.joins)
	}
	return n
}

func setReady(n *corev1.Node, status corev1.ConditionStatus, reason, message string, at time.Time) {
	n.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: status, Reason: reason, Message: message,
		LastHeartbeatTime: metav1.NewTime(at), LastTransitionTime: metav1.NewTime(at),
	}}
}

// renew says for all nodes that their kubelets are alive.
func (c *Cloud) renew(ctx context.Context) error {
	c.mu.Lock()
	var names []string
	for key, m := range c.machines {
		if m.seen {
			names = append(names, nodeName(key))
		}
	}
	c.mu.Unlock()
	return many(names, func(name string) error {
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: name}}
		lease.Spec = coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To(name), LeaseDurationSeconds: ptr.To[int32](leaseSeconds), RenewTime: ptr.To(metav1.NewMicroTime(c.o.Clock.Now())),
		}
		patch, err := json.Marshal(map[string]any{"spec": lease.Spec})
		if err != nil {
			return fmt.Errorf("write the lease of node %q: %w", name, err)
		}
		err = c.o.Client.Patch(ctx, lease.DeepCopy(), client.RawPatch("application/merge-patch+json", patch))
		if apierrors.IsNotFound(err) {
			err = c.o.Client.Create(ctx, lease)
		}
		return err
	})
}

// Restore reads back the machines whose nodes stand in the cluster, as a cloud would know
// them after a restart of the provisioner. What was still being made is lost.
func (c *Cloud) Restore(ctx context.Context, from client.Reader) error {
	var nodes corev1.NodeList
	if err := from.List(ctx, &nodes, client.HasLabels{Label}); err != nil {
		return fmt.Errorf("list the nodes of the simulator: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range nodes.Items {
		n := &nodes.Items[i]
		var r record
		if err := json.Unmarshal([]byte(n.Annotations[annotationRecord]), &r); err != nil {
			return fmt.Errorf("read the machine of node %q: %w", n.Name, err)
		}
		c.serial++
		key := node.Key(n.Labels[Label])
		m := &machine{
			key: key, owner: r.Owner, offer: r.Offer, serial: c.serial, asked: r.Asked, made: r.Asked, joins: r.Asked,
			shape: node.Shape{Labels: n.Labels, Taints: n.Spec.Taints}, shown: joined, seen: true,
		}
		c.boot(m, c.o.Clock.Now())
		c.machines[key] = m
	}
	return nil
}

// many does something for each, some at a time.
func many[T any](all []T, do func(T) error) error {
	if len(all) == 0 {
		return nil
	}
	jobs, errs := make(chan T), make([]error, min(hands, len(all)))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for one := range jobs {
				errs[i] = errors.Join(errs[i], do(one))
			}
		})
	}
	for _, one := range all {
		jobs <- one
	}
	close(jobs)
	wg.Wait()
	return errors.Join(errs...)
}

// hide takes the GPUs out of what a node shows.
func hide(capacity corev1.ResourceList) {
	for name := range capacity {
		if strings.HasSuffix(string(name), "/gpu") {
			delete(capacity, name)
		}
	}
}
