package workspace

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
)

func TestEventsAreFewAndTellWhatTurned(t *testing.T) {
	t.Parallel()
	accepted, noNode := v1beta1.Accepted("m"), v1beta1.NoMatchingNode("apps=chat")
	nodes, answers := v1beta1.NodesReady([]string{"n1"}), v1beta1.InferenceReady("chat")
	starts := v1beta1.InferenceNotReady(v1beta1.ReasonInferencePending, "The server is being started")
	crash := v1beta1.InferenceNotReady(v1beta1.ReasonContainerCrashLoop, "Container ends")
	refused := v1beta1.ModelNotFound("n", nil)
	quota := v1beta1.NodeClaimNotReady("ws1", v1beta1.ReasonQuotaExceeded, "no cores are left")
	type list = []metav1.Condition
	for name, tc := range map[string]struct {
		before, after list
		want          []string
	}{
		"a start tells nothing":                    {nil, list{accepted, nodes, starts}, nil},
		"a server that answers for the first time": {list{accepted, nodes, starts}, list{accepted, nodes, answers, v1beta1.WorkspaceReady()}, []string{v1beta1.ReasonInferenceReady}},
		"one cause is told once":                   {nil, list{accepted, noNode, v1beta1.InferenceWaits(noNode)}, []string{v1beta1.ReasonNoMatchingNode}},
		"a node that has joined":                   {list{accepted, noNode, v1beta1.InferenceWaits(noNode)}, list{accepted, nodes, starts}, []string{v1beta1.ReasonNodesReady}},
		"a node that is being made": {
			nil, list{accepted, v1beta1.NodeClaimPending("ws1", "t"), v1beta1.NodesAwaited(v1beta1.NodeClaimPending("ws1", "t"))}, nil,
		},
		"a node that the cloud refuses is told once": {
			list{accepted, v1beta1.NodeClaimPending("ws1", "t")},
			list{accepted, quota, v1beta1.NodesAwaited(quota), v1beta1.InferenceWaits(quota)},
			[]string{v1beta1.ReasonQuotaExceeded},
		},
		"a server that went away":                    {list{accepted, nodes, answers}, list{accepted, nodes, starts}, []string{v1beta1.ReasonInferencePending}},
		"a crash":                                    {list{accepted, nodes, starts}, list{accepted, nodes, crash}, []string{v1beta1.ReasonContainerCrashLoop}},
		"another try after a crash":                  {list{accepted, nodes, crash}, list{accepted, nodes, starts}, nil},
		"a model that nobody knows":                  {nil, list{refused, v1beta1.NodesUnjudged(), v1beta1.InferenceWaits(refused)}, []string{refused.Reason}},
		"an edit that makes it right":                {list{refused, v1beta1.NodesUnjudged(), v1beta1.InferenceWaits(refused)}, list{accepted, nodes, starts}, []string{accepted.Reason}},
		"an edit that cannot be run beside a server": {list{accepted, nodes, answers}, list{refused, nodes, v1beta1.ServingPreviousVersion("chat")}, []string{refused.Reason, v1beta1.ReasonServingPreviousVersion}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, c := range turned(tc.before, tc.after) {
				got = append(got, c.Reason)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}
