package nodeclaim

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kaito.sh/kaito/internal/nodeclaim"
)

func TestALife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(claim("ws1"))
	w.after(10 * time.Second)
	w.is("ws1", nodeclaim.ConditionLaunched, "Unknown/Creating")
	w.is("ws1", nodeclaim.ConditionReady, "Unknown/Creating")
	w.after(time.Minute)
	w.is("ws1", nodeclaim.ConditionLaunched, launchedNow)
	w.is("ws1", nodeclaim.ConditionRegistered, "Unknown/NodeNotJoined")
	w.after(30 * time.Second)
	w.is("ws1", nodeclaim.ConditionRegistered, "True/Registered")
	w.after(10 * time.Second)
	w.is("ws1", nodeclaim.ConditionInitialized, "Unknown/GPUNotReady")
	w.after(30 * time.Second)
	w.is("ws1", nodeclaim.ConditionReady, readyNow)
	c, n := w.get("ws1"), w.store.nodes()[0]
	if c.Status.NodeName != n.Name || c.Status.ProviderID != n.Spec.ProviderID || c.Status.Allocatable.Name("nvidia.com/gpu", "").Value() != 1 {
		t.Errorf("the status is %+v", c.Status)
	}
	for key, want := range map[string]string{
		labelRegistered: "true", labelInitialized: "true", nodeclaim.LabelWorkspace: "phi", nodeclaim.LabelCapacityType: "on-demand",
		corev1.LabelInstanceTypeStable: typeA,
	} {
		if n.Labels[key] != want {
			t.Errorf("the node's label %s is %q, want %q", key, n.Labels[key], want)
		}
	}
	if !controllerutil.ContainsFinalizer(n, nodeclaim.Finalizer) || n.OwnerReferences[0].UID != c.UID || n.Spec.Taints[0].Key != nodeclaim.TaintKey {
		t.Errorf("the node is %+v", n)
	}
	calls := w.cloud.Calls()
	w.after(time.Hour)
	if got := w.cloud.Calls(); got != calls {
		t.Errorf("a claim that is ready costs %d calls an hour", got-calls)
	}
	w.delete("ws1")
	w.after(2 * time.Minute)
	w.gone()
	if got := w.cloud.Creations(); got != 1 {
		t.Errorf("%d machines were made", got)
	}
	if len(w.events) > 0 {
		t.Errorf("an easy life has events: %q", w.events)
	}
}
