package workspace

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"kaito.sh/kaito/api/v1beta1"
)

// turned are the conditions whose status or reason is not what it was. The
// summaries are left out: they repeat what another condition says.
func turned(before, after []metav1.Condition) []metav1.Condition {
	var news []metav1.Condition
	for _, c := range after {
		switch c.Type {
		case v1beta1.ConditionResourceReady, v1beta1.ConditionWorkspaceReady, v1beta1.ConditionWorkspaceSucceeded:
			continue
		}
		old := meta.FindStatusCondition(before, c.Type)
		if old == nil && c.Status == metav1.ConditionUnknown {
			continue
		}
		if old == nil || old.Status != c.Status || old.Reason != c.Reason {
			news = append(news, c)
		}
	}
	return news
}

// tell sends one event: what is wrong is a warning, unless it is a wait that passes by itself.
func (r *Reconciler) tell(ws *v1beta1.Workspace, c metav1.Condition) {
	kind := corev1.EventTypeNormal
	if c.Status == metav1.ConditionFalse && c.Reason != v1beta1.ReasonInferencePending {
		kind = corev1.EventTypeWarning
	}
	r.record.Eventf(ws, nil, kind, c.Reason, "Reconcile", "%s", c.Message)
}

// nodeNews lets through what changes a decision and holds back heartbeats.
func nodeNews() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok1 := e.ObjectOld.(*corev1.Node)
		after, ok2 := e.ObjectNew.(*corev1.Node)
		return !ok1 || !ok2 || nodeFacts(before) != nodeFacts(after) || !sameLabels(before, after)
	}}
}

func sameLabels(a, b *corev1.Node) bool {
	if len(a.Labels) != len(b.Labels) {
		return false
	}
	for k, v := range a.Labels {
		if w, ok := b.Labels[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// facts are what a decision knows of a node, besides its labels.
type facts struct {
	ready, unschedulable bool
	cpu, memory          int64
	kubelet, runtime     string
}

func nodeFacts(n *corev1.Node) facts {
	return facts{
		ready: nodeReady(n), unschedulable: n.Spec.Unschedulable,
		cpu: n.Status.Allocatable.Cpu().MilliValue(), memory: n.Status.Allocatable.Memory().Value(),
		kubelet: n.Status.NodeInfo.KubeletVersion, runtime: n.Status.NodeInfo.ContainerRuntimeVersion,
	}
}
