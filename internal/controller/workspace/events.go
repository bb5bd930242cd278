package workspace

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
)

// turned are the conditions worth an event. An event is a write, and on the way to a
// server that answers there is one. The summaries are left out, and what waits for
// another condition: they repeat what that one says.
func turned(before, after []metav1.Condition) []metav1.Condition {
	var news []metav1.Condition
	for _, c := range after {
		switch c.Type {
		case v1beta1.ConditionResourceReady, v1beta1.ConditionWorkspaceReady, v1beta1.ConditionWorkspaceSucceeded:
			continue
		}
		was := metav1.Condition{Status: metav1.ConditionUnknown}
		if old := meta.FindStatusCondition(before, c.Type); old != nil {
			was = *old
		}
		told := slices.ContainsFunc(news, func(n metav1.Condition) bool { return n.Reason == c.Reason && n.Message == c.Message })
		if !told && (was.Status != c.Status || was.Reason != c.Reason) && tellable(was.Status, c) {
			news = append(news, c)
		}
	}
	return news
}

// tellable leaves out what every Workspace goes through before it answers.
func tellable(was metav1.ConditionStatus, c metav1.Condition) bool {
	switch {
	case passes(c):
		return was == metav1.ConditionTrue
	case c.Status == metav1.ConditionTrue:
		return c.Type == v1beta1.ConditionInferenceReady || was == metav1.ConditionFalse
	}
	return c.Status == metav1.ConditionFalse || was != metav1.ConditionUnknown
}

// passes is true of a wait that every Workspace goes through, and that ends by itself.
func passes(c metav1.Condition) bool {
	switch c.Reason {
	case v1beta1.ReasonInferencePending, v1beta1.ReasonResolvingModel, v1beta1.ReasonNodeClaimPending, v1beta1.ReasonCreating, v1beta1.ReasonNodeNotJoined, v1beta1.ReasonReleased:
		return true
	}
	return false
}

// tell sends one event: what is wrong is a warning, unless it is a wait that passes by itself.
func (r *Reconciler) tell(ws *v1beta1.Workspace, c metav1.Condition) {
	kind := corev1.EventTypeNormal
	if c.Status == metav1.ConditionFalse && !passes(c) {
		kind = corev1.EventTypeWarning
	}
	r.record.Eventf(ws, nil, kind, c.Reason, "Reconcile", "%s", c.Message)
}
