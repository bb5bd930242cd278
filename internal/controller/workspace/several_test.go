package workspace

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/testkit"
)

// t4 are the labels of one T4, as GPU feature discovery writes them.
func t4() []string {
	return []string{
		"nvidia.com/gpu.product=Tesla-T4", "nvidia.com/gpu.memory=15360", "nvidia.com/gpu.count=1",
		"nvidia.com/gpu.compute.major=7", "nvidia.com/gpu.compute.minor=5",
	}
}

// t4s are nodes with one T4 each.
func t4s(names ...string) (all []corev1.Node) {
	for _, name := range names {
		all = append(all, *withGPUs(testkit.Node(name), "1", t4()...))
	}
	return all
}

// A model of 15 GiB on GPUs of 15 GiB takes two nodes.
func TestAModelOnSeveralNodes(t *testing.T) {
	t.Parallel()
	large := testkit.Preset("llama-3.1-8b-instruct")
	own := workspace(large)
	made := workspace(large, testkit.InstanceType("Standard_NC4as_T4_v3"))
	three := workspace(large, testkit.InstanceType("Standard_NC4as_T4_v3"), func(ws *v1beta1.Workspace) { ws.Resource.Count = new(int32(3)) })
	claims := func(ws *v1beta1.Workspace, nodes ...string) (all []nodeclaim.NodeClaim) {
		for i, name := range nodes {
			c := claim(ws, i, 0)
			if name != "" {
				onNode(name)(&c)
			}
			all = append(all, c)
		}
		return all
	}
	waits := func(reason string) []string {
		return []string{"Accepted=True/Accepted", "NodeClaimReady=False/" + reason, "NodesReady=False/" + reason, "ResourceReady=False/" + reason}
	}
	for name, tc := range map[string]struct {
		o       observed
		want    []string
		changes []string
		says    string
		// nodes is on how many it is served; 0 is not yet.
		nodes int
	}{
		"two of the user's own nodes serve it together": {
			o:     observed{ws: own, nodes: t4s("a", "b")},
			want:  []string{"Accepted=True/Accepted", "NodeClaimReady is absent", "NodesReady=True/NodesReady", "ResourceReady=True/workspaceResourceStatusSuccess"},
			nodes: 2,
		},
		"one of them waits for another": {
			o:    observed{ws: own, nodes: t4s("a")},
			want: []string{"Accepted=True/Accepted", "NodeClaimReady is absent", "NodesReady=False/TooFewNodes", "ResourceReady=False/TooFewNodes"},
			says: `Model "llama-3.1-8b-instruct" needs 2 nodes like "a" with 1 x Tesla T4 each, and 1 of 2 are there: add 1 more, which are picked up at once; one node is enough with 1 GPU with 24 GB`,
		},
		"a node for each ordinal is asked for": {
			o: demanded(made, nil), want: waits("NodeClaimPending"), changes: []string{"+0.0", "+1.0"}, says: "0 of 2 nodes are there: NodeClaim",
		},
		"the user's count is the least": {
			o: demanded(three, nil), want: waits("NodeClaimPending"), changes: []string{"+0.0", "+1.0", "+2.0"}, says: "0 of 3 nodes are there: NodeClaim",
		},
		"one has joined": {
			o: demanded(made, claims(made, "a", ""), t4s("a")...), want: waits("NodeClaimPending"), says: "1 of 2 nodes are there: NodeClaim",
		},
		"both have joined": {
			o:     demanded(made, claims(made, "a", "b"), t4s("a", "b")...),
			want:  []string{"Accepted=True/Accepted", "NodeClaimReady=True/NodeClaimsReady", "NodesReady=True/NodesReady", "ResourceReady=True/workspaceResourceStatusSuccess"},
			nodes: 2,
		},
		"nodes that hold more than their type promised are fewer": {
			o:       demanded(made, claims(made, "a", ""), *withGPUs(testkit.Node("a"), "1", a100()...)),
			want:    []string{"Accepted=True/Accepted", "NodeClaimReady=True/NodeClaimsReady", "NodesReady=True/NodesReady", "ResourceReady=True/workspaceResourceStatusSuccess"},
			changes: []string{"-1.0"}, nodes: 1,
		},
		"a node that is not ready any more": {
			o:    demanded(made, claims(made, "a", "b"), append(t4s("a"), *withGPUs(testkit.Node("b", testkit.NotReady), "1", t4()...))...),
			want: []string{"Accepted=True/Accepted", "NodeClaimReady=True/NodeClaimsReady", "NodesReady=False/NodeNotReady", "ResourceReady=False/NodeNotReady"},
			says: "b (not ready)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := planner(t).decide(tc.o)
			onNodes(t, tc.o, d, tc.want, tc.changes, tc.says)
			if nodes := servedOn(d); nodes != tc.nodes {
				t.Errorf("it is served on %d nodes, want %d", nodes, tc.nodes)
			}
		})
	}
}

func servedOn(d decision) int {
	if d.serving == nil {
		return 0
	}
	return d.serving.Plan.Nodes
}

// The status says how the model is spread, and on how many nodes.
func TestThePlanOfSeveralNodesIsInTheStatus(t *testing.T) {
	t.Parallel()
	o := observed{ws: workspace(testkit.Preset("llama-3.1-8b-instruct")), nodes: t4s("a", "b", "c")}
	status := planner(t).decide(o).status(o.ws, o.ws.CreationTimestamp)
	p := status.Plan
	if p == nil || p.Parallelism == nil {
		t.Fatalf("no plan in %+v", status)
	}
	got := fmt.Sprint(*status.TargetNodeCount, p.Nodes, *p.GPUs, p.Parallelism.Tensor, p.Parallelism.Pipeline, p.Parallelism.Data)
	if want := "2 2 1 1 2 1"; got != want {
		t.Errorf("target, nodes, GPUs, TP, PP, DP are %s, want %s", got, want)
	}
}

// Pods that end because another one did come after that one, whatever their names.
func TestThePodThatWasLostIsTold(t *testing.T) {
	t.Parallel()
	follows := left("GroupBroken", "the pod at place 1 of the group has started again")
	guilty := crashed("OOMKilled", "")
	guilty.Name = "chat-1"
	if got := said(t, running(t, 0, follows, guilty)); !strings.HasPrefix(got, `ContainerOOMKilled: Container "engine" of pod "chat-1"`) {
		t.Errorf("got %q, want the pod that was lost", got)
	}
	if got := said(t, running(t, 0, follows)); !strings.HasPrefix(got, "GroupRestarting: ") || !strings.Contains(got, `pod "chat-0" says that the pod at place 1`) {
		t.Errorf("got %q", got)
	}
}

// A group whose leader has gone does not answer, whatever its followers say.
func TestAPartOfAGroupDoesNotAnswer(t *testing.T) {
	t.Parallel()
	o := running(t, 1)
	for name, tc := range map[string]struct {
		ready, of int32
		template  bool
		want      bool
	}{
		"all pods":                 {2, 2, false, true},
		"one of two":               {1, 2, false, false},
		"none":                     {0, 2, false, false},
		"one of two of a template": {1, 2, true, true},
	} {
		o := o
		o.ws, o.server = o.ws.DeepCopy(), o.server.DeepCopy()
		o.server.Status.ReadyReplicas, o.server.Status.Replicas = tc.ready, tc.of
		if tc.template {
			o.ws.Inference = &v1beta1.InferenceSpec{Template: rawTemplate(`{}`)}
		}
		if got := answersStill(o); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
