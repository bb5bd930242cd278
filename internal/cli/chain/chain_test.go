package chain_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/chain"
)

func condition(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: "About " + kind, ObservedGeneration: 2}
}

func TestTheCauseIsTheFirstThatIsNotTrue(t *testing.T) {
	t.Parallel()
	accepted := condition(v1beta1.ConditionAccepted, metav1.ConditionTrue, "Accepted")
	nodes := condition(v1beta1.ConditionNodesReady, metav1.ConditionFalse, "NoMatchingNode")
	inference := condition(v1beta1.ConditionInferenceReady, metav1.ConditionFalse, "NoMatchingNode")
	waits := condition(v1beta1.ConditionWorkspaceReady, metav1.ConditionFalse, "WorkspaceNotReady")
	ready := condition(v1beta1.ConditionWorkspaceReady, metav1.ConditionTrue, "WorkspaceReady")
	for name, tc := range map[string]struct {
		conditions []metav1.Condition
		edit       func(*v1beta1.Workspace)
		want       string
	}{
		"the first, whatever the order in the status": {
			conditions: []metav1.Condition{waits, inference, nodes, accepted}, want: "NodesReady NoMatchingNode: About NodesReady",
		},
		"one that is unknown counts": {
			conditions: []metav1.Condition{condition(v1beta1.ConditionAccepted, metav1.ConditionUnknown, "DataUnreachable"), waits},
			want:       "Accepted DataUnreachable: About Accepted",
		},
		"a Workspace that is ready waits for nothing, even if its nodes were released": {
			conditions: []metav1.Condition{accepted, nodes, ready},
		},
		"a Workspace without conditions has not been looked at": {
			want: "No operator has looked at this Workspace yet",
		},
		"an edit that was not looked at yet": {
			conditions: []metav1.Condition{accepted, ready},
			edit:       func(ws *v1beta1.Workspace) { ws.Generation = 3 },
			want:       "No operator has looked at the newest edit of this Workspace yet",
		},
		"a Workspace that is being deleted": {
			conditions: []metav1.Condition{accepted, ready},
			edit:       func(ws *v1beta1.Workspace) { ws.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} },
			want:       "The Workspace is being deleted",
		},
		"a Workspace that is being deleted and waits for its nodes": {
			conditions: []metav1.Condition{accepted, v1beta1.WorkspaceDeleting(v1beta1.ConditionNodeClaimReady, `NodeClaim "a"`)},
			edit:       func(ws *v1beta1.Workspace) { ws.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} },
			want:       `The Workspace is being deleted and waits until its nodes are gone: NodeClaim "a"`,
		},
		"a condition of a later version is not lost": {
			conditions: []metav1.Condition{accepted, condition("Benchmarked", metav1.ConditionFalse, "TooSlow")},
			want:       "Benchmarked TooSlow: About Benchmarked",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ws := &v1beta1.Workspace{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
			ws.Status.Conditions = tc.conditions
			if tc.edit != nil {
				tc.edit(ws)
			}
			if diff := cmp.Diff(tc.want, chain.Line(ws)); diff != "" {
				t.Errorf("cause (-want +got):\n%s", diff)
			}
		})
	}
}
