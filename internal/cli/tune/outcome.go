package tune

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/chain"
)

// FailedError is a run that has ended badly, in the words of its condition.
type FailedError struct {
	Workspace string
	Because   metav1.Condition
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("Workspace %q: %s is %s: %s: %s", e.Workspace, e.Because.Type, e.Because.Status, e.Because.Reason, e.Because.Message)
}

// outcome is how far a run is: done with or without an error, or on its way.
type outcome struct {
	done bool
	err  error
}

// outcomeOf is pure. A Workspace whose newest edit nobody has looked at is on its way.
func outcomeOf(ws *v1beta1.Workspace) outcome {
	if !ws.DeletionTimestamp.IsZero() {
		return outcome{done: true, err: fmt.Errorf("Workspace %q is being deleted", ws.Name)} //nolint:staticcheck // Workspace is a name
	}
	if c := refusal(ws); c != nil {
		return outcome{done: true, err: &FailedError{Workspace: ws.Name, Because: *c}}
	}
	// While an older adapter serves, WorkspaceReady says nothing about the newest run.
	t := ws.Status.Tuning
	return outcome{done: holds(ws, v1beta1.ConditionWorkspaceReady) && t != nil && t.RunID == t.ServedRunID}
}

// refusal is the condition that only a person can change, if there is one.
func refusal(ws *v1beta1.Workspace) *metav1.Condition {
	if c := fresh(ws, v1beta1.ConditionAccepted); c != nil && c.Status == metav1.ConditionFalse {
		return c
	}
	if fresh(ws, v1beta1.ConditionWorkspaceReady) == nil {
		return nil
	}
	// While an older adapter serves, the Workspace is ready and its newest run may have failed.
	if t := ws.Status.Tuning; t != nil && t.Phase == v1beta1.TuningFailed {
		if c := fresh(ws, v1beta1.ConditionJobStarted); c != nil && c.Status == metav1.ConditionFalse {
			return c
		}
	}
	if c, bad := chain.Cause(ws); bad && ws.Status.State == v1beta1.StateFailed {
		return &c
	}
	return nil
}

// fresh is a condition about the newest edit, or nil.
func fresh(ws *v1beta1.Workspace, kind string) *metav1.Condition {
	c := meta.FindStatusCondition(ws.Status.Conditions, kind)
	if c == nil || c.ObservedGeneration < ws.Generation {
		return nil
	}
	return c
}

func holds(ws *v1beta1.Workspace, kind string) bool {
	c := fresh(ws, kind)
	return c != nil && c.Status == metav1.ConditionTrue
}

// step is one part of the way from a data set to an answer.
type step struct {
	name string
	done bool
}

// way are the parts in their order.
func way(ws *v1beta1.Workspace) []step {
	t := ws.Status.Tuning
	published := t != nil && t.RunID != "" && t.RunID == t.ServedRunID
	return []step{
		{"data checked", holds(ws, v1beta1.ConditionAccepted)},
		{"node ready", published || holds(ws, v1beta1.ConditionResourceReady)},
		{"trained", published || (t != nil && finished(t) && holds(ws, v1beta1.ConditionJobStarted))},
		{"published", published},
		{"ready", published && holds(ws, v1beta1.ConditionWorkspaceReady)},
	}
}

// finished is true once all steps are done.
func finished(t *v1beta1.TuningStatus) bool {
	return number(t.TotalSteps) > 0 && number(t.Step) >= number(t.TotalSteps)
}

// waiting says in one line what the Workspace waits for, or nothing.
func waiting(ws *v1beta1.Workspace) string {
	if holds(ws, v1beta1.ConditionJobStarted) && !outcomeOf(ws).done {
		if c := fresh(ws, v1beta1.ConditionInferenceReady); c != nil && c.Status != metav1.ConditionTrue {
			return c.Message
		}
	}
	return strings.TrimSpace(chain.Line(ws))
}

func number(n *int32) int {
	if n == nil {
		return 0
	}
	return int(*n)
}
