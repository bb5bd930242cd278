package testkit

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Node is a ready node that can mount model images: 4 cores, 8 GiB, and the
// labels that every node has. Edits change it, in order.
func Node(name string, edits ...func(*corev1.Node)) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname:   name,
			corev1.LabelOSStable:   "linux",
			corev1.LabelArchStable: "amd64",
		}},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status",
			}},
			NodeInfo: corev1.NodeSystemInfo{
				KubeletVersion: "v1.37.2", ContainerRuntimeVersion: "containerd://2.3.4",
				OperatingSystem: "linux", Architecture: "amd64",
			},
		},
	}
	Allocatable("4", "8Gi")(node)
	for _, edit := range edits {
		edit(node)
	}
	return node
}

// NodeLabel gives a node a label.
func NodeLabel(key, value string) func(*corev1.Node) {
	return func(node *corev1.Node) { node.Labels[key] = value }
}

// Allocatable is what a node can give to pods.
func Allocatable(cpu, memory string) func(*corev1.Node) {
	return func(node *corev1.Node) {
		node.Status.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse(cpu),
			corev1.ResourceMemory: resource.MustParse(memory),
			corev1.ResourcePods:   resource.MustParse("110"),
		}
		node.Status.Capacity = node.Status.Allocatable.DeepCopy()
	}
}

// Versions are those of a node's kubelet and of its container runtime, as the node
// reports them: "v1.37.2", "containerd://2.3.4".
func Versions(kubelet, containers string) func(*corev1.Node) {
	return func(node *corev1.Node) {
		node.Status.NodeInfo.KubeletVersion = kubelet
		node.Status.NodeInfo.ContainerRuntimeVersion = containers
	}
}

// NotReady is a node whose kubelet says no.
func NotReady(node *corev1.Node) {
	node.Status.Conditions[0].Status = corev1.ConditionFalse
	node.Status.Conditions[0].Reason = "KubeletNotReady"
	node.Status.Conditions[0].Message = "container runtime is down"
}

// Cordoned is a node that takes no new pods.
func Cordoned(node *corev1.Node) {
	node.Spec.Unschedulable = true
}

// Taint keeps pods off a node that do not tolerate it.
func Taint(key, value string) func(*corev1.Node) {
	return func(node *corev1.Node) {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffectNoSchedule})
	}
}

// Join brings a node into the cluster, status and all; it leaves with the test.
// Nodes have no namespace: give those of one test a name and a label of their own.
func (s *Server) Join(t *testing.T, node *corev1.Node) *corev1.Node {
	t.Helper()
	c, joined := s.Client(t), node.DeepCopy()
	if err := c.Create(t.Context(), joined); err != nil {
		t.Fatalf("create node %q: %v", node.Name, err)
	}
	t.Cleanup(func() {
		// The context of the test has ended by now.
		ctx := context.WithoutCancel(t.Context())
		if err := client.IgnoreNotFound(c.Delete(ctx, joined)); err != nil {
			t.Errorf("delete node %q: %v", node.Name, err)
		}
	})
	joined.Status = *node.Status.DeepCopy()
	if err := c.Status().Update(t.Context(), joined); err != nil {
		t.Fatalf("write the status of node %q: %v", node.Name, err)
	}
	return s.untaint(t, joined, node)
}

// untaint takes off the taint that admission puts on every node that joins: a
// controller that does not run here removes it once the node is ready.
func (s *Server) untaint(t *testing.T, joined, wanted *corev1.Node) *corev1.Node {
	t.Helper()
	joined.Spec.Taints = wanted.Spec.Taints
	if err := s.Client(t).Update(t.Context(), joined); err != nil {
		t.Fatalf("set the taints of node %q: %v", joined.Name, err)
	}
	return joined
}
