// Package chain orders the conditions of a Workspace: each waits for the one
// before it, and the first that is not True is the cause of all that wait.
package chain

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
)

// Reasons that no condition carries.
const (
	// ReasonDeleting is the reason of a Workspace that goes away.
	ReasonDeleting = "Deleting"
	// ReasonUnobserved is the reason of a Workspace that no operator has looked at.
	ReasonUnobserved = "Unobserved"
	// ReasonNotYetObserved is the reason of an edit that no operator has looked at.
	ReasonNotYetObserved = "EditNotYetObserved"
)

// order is that of the waits. WorkspaceSucceeded repeats WorkspaceReady but for tuning.
func order() []string {
	return []string{
		v1beta1.ConditionAccepted, v1beta1.ConditionNodeClaimReady, v1beta1.ConditionNodesReady, v1beta1.ConditionResourceReady,
		v1beta1.ConditionJobStarted, v1beta1.ConditionInferenceReady, v1beta1.ConditionWorkspaceReady,
	}
}

// Of are the conditions in the order of their waits; those that we do not know come last.
func Of(ws *v1beta1.Workspace) []metav1.Condition {
	var sorted []metav1.Condition
	known := append(order(), v1beta1.ConditionWorkspaceSucceeded)
	for _, kind := range order() {
		if c := meta.FindStatusCondition(ws.Status.Conditions, kind); c != nil {
			sorted = append(sorted, *c)
		}
	}
	for _, c := range ws.Status.Conditions {
		if !slices.Contains(known, c.Type) {
			sorted = append(sorted, c)
		}
	}
	return sorted
}

// Cause is why a Workspace is not ready. Its Type is empty where no condition says
// so; ok is false for a Workspace that answers as it is written.
func Cause(ws *v1beta1.Workspace) (cause metav1.Condition, ok bool) {
	ready := meta.FindStatusCondition(ws.Status.Conditions, v1beta1.ConditionWorkspaceReady)
	switch {
	case !ws.DeletionTimestamp.IsZero():
		return metav1.Condition{Reason: ReasonDeleting, Message: deleting(ws)}, true
	case len(ws.Status.Conditions) == 0:
		return metav1.Condition{Reason: ReasonUnobserved, Message: "No operator has looked at this Workspace yet"}, true
	case ready != nil && ready.ObservedGeneration < ws.Generation:
		return metav1.Condition{Reason: ReasonNotYetObserved, Message: "No operator has looked at the newest edit of this Workspace yet"}, true
	case ready != nil && ready.Status == metav1.ConditionTrue:
		return metav1.Condition{}, false
	}
	for _, c := range Of(ws) {
		if c.Status != metav1.ConditionTrue {
			return c, true
		}
	}
	return metav1.Condition{}, false
}

// deleting says what a deletion waits for, as far as the operator has said it.
func deleting(ws *v1beta1.Workspace) string {
	if c := meta.FindStatusCondition(ws.Status.Conditions, v1beta1.ConditionNodeClaimReady); c != nil && c.Reason == v1beta1.ReasonDeleting {
		return c.Message
	}
	return "The Workspace is being deleted"
}

// Line is the cause in one line, or nothing.
func Line(ws *v1beta1.Workspace) string {
	c, ok := Cause(ws)
	switch {
	case !ok:
		return ""
	case c.Type == "":
		return c.Message
	}
	return c.Type + " " + c.Reason + ": " + c.Message
}
