package workspace

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
)

// tuningConditions are all conditions of a tuning Workspace, summaries included.
func (d decision) tuningConditions() []metav1.Condition {
	resources, ready := d.resources(), v1beta1.WorkspaceReady()
	switch {
	case d.summary.Type != "":
		ready = d.summary
	case d.inference.Status != metav1.ConditionTrue:
		ready = v1beta1.WorkspaceNotReady(d.because())
	}
	return d.withClaims([]metav1.Condition{d.accepted, d.nodes, resources, d.job, d.inference, ready, d.succeeded})
}

// because is the first thing on the way to an answer that is not as it should be.
func (d decision) because() metav1.Condition {
	for _, c := range d.withClaims([]metav1.Condition{d.accepted, d.nodes, d.job}) {
		if c.Status != metav1.ConditionTrue {
			return c
		}
	}
	return d.inference
}

// tuningState sums a tuning Workspace up in one word.
func (d decision) tuningState(answered bool) v1beta1.WorkspaceState {
	published := d.succeeded.Status == metav1.ConditionTrue
	switch {
	case d.inference.Status == metav1.ConditionTrue && d.accepted.Status != metav1.ConditionFalse:
		return v1beta1.StateReady
	case d.summary.Status == metav1.ConditionTrue:
		return v1beta1.StateSucceeded
	case d.final:
		return v1beta1.StateFailed
	case published && answered:
		return v1beta1.StateNotReady
	case d.job.Status == metav1.ConditionTrue:
		return v1beta1.StateRunning
	}
	return v1beta1.StatePending
}
