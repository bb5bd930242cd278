package workspace

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
)

// status is what the decision makes of the status that stands.
func (d decision) status(ws *v1beta1.Workspace, now metav1.Time) v1beta1.WorkspaceStatus {
	status := *ws.Status.DeepCopy()
	all := d.conditions()
	kept := status.Conditions[:0]
	for _, c := range status.Conditions {
		if slices.ContainsFunc(all, func(n metav1.Condition) bool { return n.Type == c.Type }) {
			kept = append(kept, c)
		}
	}
	status.Conditions = kept
	for _, c := range all {
		c.ObservedGeneration, c.LastTransitionTime = ws.Generation, now
		meta.SetStatusCondition(&status.Conditions, c)
	}
	status.State = d.state(ws.Status.State)
	status.WorkerNodes = d.workers
	if d.startup != nil {
		status.Startup = d.startup
	}
	if d.tuning != nil {
		status.Tuning = d.tuning
	}
	if d.wish.demand == askForNodes {
		status.TargetNodeCount = new(int32(d.wish.nodes))
	}
	if d.serving != nil {
		nodes := int32(d.serving.Plan.Nodes)
		status.TargetNodeCount, status.Plan = &nodes, planStatus(d.serving, d.planned)
	}
	return status
}

// conditions are all conditions of the Workspace, summaries included.
func (d decision) conditions() []metav1.Condition {
	if d.tuned != nil {
		return d.tuningConditions()
	}
	resources, ready := d.resources(), v1beta1.WorkspaceReady()
	switch {
	case d.accepted.Status != metav1.ConditionTrue:
		ready = v1beta1.WorkspaceNotReady(d.accepted)
	case d.inference.Status != metav1.ConditionTrue:
		ready = v1beta1.WorkspaceNotReady(d.inference)
	}
	return d.withClaims([]metav1.Condition{d.accepted, d.nodes, resources, d.inference, ready, v1beta1.WorkspaceSucceeded(ready)})
}

// withClaims puts NodeClaimReady behind Accepted where nodes are made.
func (d decision) withClaims(all []metav1.Condition) []metav1.Condition {
	if d.claims.Type == "" {
		return all
	}
	return slices.Insert(all, 1, d.claims)
}

// resources sums up what is needed before a pod can start.
func (d decision) resources() metav1.Condition {
	for _, c := range d.withClaims([]metav1.Condition{d.accepted, d.nodes}) {
		if c.Status != metav1.ConditionTrue {
			return v1beta1.ResourceNotReady(c)
		}
	}
	return v1beta1.ResourceReady()
}

func (d decision) state(before v1beta1.WorkspaceState) v1beta1.WorkspaceState {
	answered := before == v1beta1.StateReady || before == v1beta1.StateNotReady
	if d.tuned != nil {
		return d.tuningState(answered)
	}
	switch {
	case d.final && d.inference.Status != metav1.ConditionTrue:
		return v1beta1.StateFailed
	case d.inference.Status == metav1.ConditionTrue && d.accepted.Status == metav1.ConditionTrue:
		return v1beta1.StateReady
	case answered:
		return v1beta1.StateNotReady
	}
	return v1beta1.StatePending
}
