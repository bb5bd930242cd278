package workspace

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
