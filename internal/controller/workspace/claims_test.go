package workspace

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/testkit"
)

// onDemand asks for CPU nodes.
var onDemand = testkit.InstanceType("Standard_D4s_v5")

// claim is one of a Workspace, as a cluster has it. Edits change it, in order.
func claim(ws *v1beta1.Workspace, ordinal, attempt int, edits ...func(*nodeclaim.NodeClaim)) nodeclaim.NodeClaim {
	c := render.NodeClaim(render.Node{Workspace: ws, Ordinal: ordinal, Attempt: attempt, InstanceType: ws.Resource.InstanceType})
	for _, edit := range edits {
		edit(c)
	}
	return *c
}

// says gives a claim the conditions up to kind, which has a reason and a message; no reason: it is True.
func claimSays(kind, status, reason, message string) func(*nodeclaim.NodeClaim) {
	return func(c *nodeclaim.NodeClaim) {
		set := c.StatusConditions()
		for _, one := range []string{nodeclaim.ConditionLaunched, nodeclaim.ConditionRegistered, nodeclaim.ConditionInitialized} {
			switch {
			case one != kind:
				set.SetTrue(one)
				continue
			case status == "False":
				set.SetFalse(one, reason, message)
			default:
				set.SetUnknownWithReason(one, reason, message)
			}
			return
		}
	}
}

// claimedBy makes a claim ready with a node.
func onNode(name string) func(*nodeclaim.NodeClaim) {
	return func(c *nodeclaim.NodeClaim) {
		claimSays("", "", "", "")(c)
		c.Status.NodeName = name
	}
}

func onItsWayOut(c *nodeclaim.NodeClaim) { c.DeletionTimestamp = new(metav1.Now()) }

// demanded is what is observed of a Workspace whose nodes are made.
func demanded(ws *v1beta1.Workspace, claims []nodeclaim.NodeClaim, nodes ...corev1.Node) observed {
	o := observed{ws: ws, nodes: nodes, claimsKnown: true, have: nil}
	o.claims, o.earlier = sortClaims(ws, claims)
	return o
}

// changed is what a decision makes of the claims, as words.
func changed(o observed, d decision) []string {
	var all []string
	c := d.wish.changes(o.claims, o.earlier)
	for _, n := range c.create {
		all = append(all, fmt.Sprintf("+%d.%d", n.Ordinal, n.Attempt))
	}
	for i := range c.remove {
		all = append(all, fmt.Sprintf("-%d.%d", ordinal(&c.remove[i]), attempt(&c.remove[i])))
	}
	return all
}

func conditionsOf(d decision, ws *v1beta1.Workspace, kinds ...string) []string {
	status := d.status(ws, metav1.Time{})
	var all []string
	for _, kind := range kinds {
		if c := meta.FindStatusCondition(status.Conditions, kind); c != nil {
			all = append(all, fmt.Sprintf("%s=%s/%s", kind, c.Status, c.Reason))
		} else {
			all = append(all, kind+" is absent")
		}
	}
	return all
}

func TestNodesOnDemand(t *testing.T) {
	t.Parallel()
	ws := workspace(onDemand)
	two := workspace(onDemand, func(ws *v1beta1.Workspace) {
		ws.Inference = &v1beta1.InferenceSpec{Template: rawTemplate(`{"spec":{"containers":[{"name":"a","image":"b"}]}}`)}
		ws.Resource.Count = new(int32(2))
	})
	older := ws.DeepCopy()
	older.UID = "an earlier life"
	node := func(name string, edits ...func(*corev1.Node)) corev1.Node { return *testkit.Node(name, edits...) }
	pending := []string{"Accepted=True/Accepted", "NodeClaimReady=False/NodeClaimPending", "NodesReady=False/NodeClaimPending", "ResourceReady=False/NodeClaimPending"}
	ready := []string{"Accepted=True/Accepted", "NodeClaimReady=True/NodeClaimsReady", "NodesReady=True/NodesReady", "ResourceReady=True/workspaceResourceStatusSuccess"}
	waits := func(reason string) []string {
		return []string{"Accepted=True/Accepted", "NodeClaimReady=False/" + reason, "NodesReady=False/" + reason, "ResourceReady=False/" + reason}
	}
	refused := func(reason string) []string {
		return []string{"Accepted=False/" + reason, "NodeClaimReady=Unknown/NotAccepted", "NodesReady=Unknown/NotAccepted", "ResourceReady=False/" + reason}
	}
	for name, tc := range map[string]struct {
		o       observed
		want    []string
		changes []string
		says    string
		serve   bool
	}{
		"a preset asks for one node": {
			o: demanded(ws, nil), want: pending, changes: []string{"+0.0"}, says: "of type Standard_D4s_v5",
		},
		"a template asks for as many as it has pods": {
			o: demanded(two, nil), want: pending, changes: []string{"+0.0", "+1.0"},
		},
		"a claim that nobody has taken up": {
			o: demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0)}), want: pending, says: "see that the gpu-provisioner runs",
		},
		"a claim that Karpenter's library has only begun with": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, claimSays("Launched", "Unknown", "AwaitingReconciliation", "object is awaiting reconciliation"))}),
			want: pending,
		},
		"the cloud makes it": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, claimSays("Launched", "Unknown", "Creating", "Asked for a Standard_D4s_v5."))}),
			want: waits("Creating"), says: "Asked for a Standard_D4s_v5",
		},
		"a refusal comes in the cloud's own words": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, claimSays("Launched", "False", "QuotaExceeded", "OperationNotAllowed: 0 cores are left of family Dsv5"))}),
			want: waits("QuotaExceeded"), says: "OperationNotAllowed: 0 cores are left of family Dsv5",
		},
		"a reason that no condition may have": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, claimSays("Launched", "False", "not a reason", "who knows"))}),
			want: waits("NodeClaimPending"), says: "who knows",
		},
		"a node without its GPUs is not whole": {
			o: demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, claimSays("Initialized", "False", "GPUNotReady", "nvidia.com/gpu is missing"),
				func(c *nodeclaim.NodeClaim) { c.Status.NodeName = "n1" })}, node("n1")),
			want: waits("GPUNotReady"),
		},
		"a node that has joined serves": {
			o: demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, onNode("n1"))}, node("n1")), want: ready, serve: true,
		},
		"a claim is ready and its node not to be seen": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, onNode("n1"))}),
			want: []string{"Accepted=True/Accepted", "NodeClaimReady=True/NodeClaimsReady", "NodesReady=False/NodeNotJoined", "ResourceReady=False/NodeNotJoined"},
		},
		"a node that went silent": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, onNode("n1"))}, node("n1", testkit.NotReady)),
			want: []string{"Accepted=True/Accepted", "NodeClaimReady=True/NodeClaimsReady", "NodesReady=False/NodeNotReady", "ResourceReady=False/NodeNotReady"},
		},
		"a node that is smaller than its type says": {
			o:     demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, onNode("n1"))}, node("n1", testkit.Allocatable("1500m", "8Gi"))),
			want:  ready,
			serve: true,
		},
		"a claim on its way out gets a successor of another name": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, onNode("n1"), onItsWayOut)}, node("n1")),
			want: pending, changes: []string{"+0.1"},
		},
		"a third attempt": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, onItsWayOut), claim(ws, 0, 1, onItsWayOut)}),
			want: pending, changes: []string{"+0.2"},
		},
		"of two claims for one node the ready one stays": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0), claim(ws, 0, 1, onNode("n1"))}, node("n1")),
			want: ready, changes: []string{"-0.0"}, serve: true,
		},
		"of two claims that are not ready the older stays": {
			o: demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 1), claim(ws, 0, 0)}), want: pending, changes: []string{"-0.1"},
		},
		"a claim too many goes": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, onNode("n1")), claim(ws, 1, 0, onNode("n2"))}, node("n1")),
			want: ready, changes: []string{"-1.0"}, serve: true,
		},
		"the claim of an earlier life goes": {
			o: demanded(ws, []nodeclaim.NodeClaim{claim(older, 0, 0, onNode("n1"))}), want: pending, changes: []string{"+0.0", "-0.0"},
		},
		"a person's own claim with our labels is left alone": {
			o:    demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, func(c *nodeclaim.NodeClaim) { c.Name, c.Annotations = "mine", nil })}),
			want: pending, changes: []string{"+0.0"},
		},
		"pods start on the nodes that are there": {
			o: demanded(two, []nodeclaim.NodeClaim{claim(two, 0, 0, onNode("n1")), claim(two, 1, 0, claimSays("Launched", "Unknown", "Creating", "On its way"))}, node("n1")),
			// InferenceReady waits for both of them.
			want: waits("Creating"), serve: true,
		},
		"a cluster without NodeClaims": {
			o: observed{ws: ws}, want: waits("NoProvisioner"), changes: []string{"+0.0"}, says: "install charts/gpu-provisioner",
		},
		"a type that nobody knows": {
			o: demanded(workspace(testkit.InstanceType("Standard_D4_v5")), nil), want: refused("UnknownInstanceType"), says: "Standard_D4s_v5",
		},
		"a model that no node of the type could take": {
			o:    demanded(workspace(testkit.InstanceType("Standard_NC4as_T4_v3"), testkit.Preset("deepseek-v3-0324")), nil),
			want: []string{"Accepted=False/DoesNotFit", "NodeClaimReady=Unknown/NotAccepted", "NodesReady=False/DoesNotFit", "ResourceReady=False/DoesNotFit"},
			says: `instance type "Standard_NC4as_T4_v3"`,
		},
		"a way to buy that nobody knows": {
			o: demanded(workspace(onDemand, func(ws *v1beta1.Workspace) {
				ws.Annotations = map[string]string{v1beta1.AnnotationCapacityType: "cheap"}
			}), nil),
			want: refused("InvalidAnnotation"), says: `"cheap"`,
		},
		"an operating system that nobody knows": {
			o: demanded(workspace(onDemand, func(ws *v1beta1.Workspace) {
				ws.Annotations = map[string]string{v1beta1.AnnotationImageFamily: "windows"}
			}), nil),
			want: refused("InvalidAnnotation"),
		},
		"labels that a node cannot be given": {
			o: demanded(workspace(onDemand, func(ws *v1beta1.Workspace) {
				ws.Resource.LabelSelector.MatchLabels["kubernetes.io/arch"] = "arm64"
				ws.Resource.LabelSelector.MatchLabels["kubernetes.io/os"] = "linux" // it has anyway
			}), nil),
			want: refused("InvalidSelector"), says: "matchLabels kubernetes.io/arch=arm64",
		},
		"an expression that no such node meets": {
			o: demanded(workspace(onDemand, func(ws *v1beta1.Workspace) {
				ws.Resource.LabelSelector.MatchExpressions = []metav1.LabelSelectorRequirement{
					{Key: "rack", Operator: metav1.LabelSelectorOpExists}, {Key: "old", Operator: metav1.LabelSelectorOpDoesNotExist},
				}
			}), nil),
			want: refused("InvalidSelector"), says: "matchExpressions rack",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := planner(t).decide(tc.o)
			onNodes(t, tc.o, d, tc.want, tc.changes, tc.says)
			if serves := d.serving != nil; serves != tc.serve {
				t.Errorf("a server is wanted: %v, want %v", serves, tc.serve)
			}
		})
	}
}

// onNodes holds the conditions about nodes, and what becomes of the claims, against what is wanted.
func onNodes(t *testing.T, o observed, d decision, want, changes []string, says string) {
	t.Helper()
	got := conditionsOf(d, o.ws, v1beta1.ConditionAccepted, v1beta1.ConditionNodeClaimReady, v1beta1.ConditionNodesReady, v1beta1.ConditionResourceReady)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions (-want +got):\n%s\n%s", diff, d.resources().Message)
	}
	if diff := cmp.Diff(changes, changed(o, d)); diff != "" {
		t.Errorf("changes of the claims (-want +got):\n%s", diff)
	}
	if !strings.Contains(d.resources().Message, says) {
		t.Errorf("ResourceReady says %q, want %q", d.resources().Message, says)
	}
}

// What the claim asks for, and what is said of a retired type.
func TestARetiredTypeIsAskedForAndTheRefusalNamesSuccessors(t *testing.T) {
	t.Parallel()
	ws := workspace(testkit.InstanceType("standard_nc6S_v3"), testkit.Preset("phi-3-mini-128k-instruct"))
	ws.Annotations = map[string]string{v1beta1.AnnotationCapacityType: "spot, on-demand", v1beta1.AnnotationImageFamily: "AzureLinux"}
	o := demanded(ws, nil)
	d := planner(t).decide(o)
	asked := d.wish.changes(nil, nil).create
	if len(asked) != 1 {
		t.Fatalf("%d nodes are asked for, want 1: %+v", len(asked), d.conditions())
	}
	got := asked[0]
	if got.InstanceType != "Standard_NC6s_v3" || got.GPUs != 1 || got.ImageFamily != "azurelinux" || !slices.Equal(got.CapacityTypes, []string{"spot", "on-demand"}) {
		t.Errorf("the claim asks for %+v", got)
	}
	if !strings.Contains(d.accepted.Message, "is retired") {
		t.Errorf("Accepted says %q, want a warning", d.accepted.Message)
	}
	o = demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, claimSays("Launched", "False", "SKUUnavailable", "SkuNotAvailable: The requested VM size Standard_NC6s_v3 is not available."))})
	message := planner(t).decide(o).resources().Message
	successors := planner(t).Instances.Successors("Standard_NC6s_v3")
	if len(successors) != 2 {
		t.Fatalf("successors are %v", successors)
	}
	for _, want := range append(successors, "SkuNotAvailable: The requested VM size Standard_NC6s_v3 is not available") {
		if !strings.Contains(message, want) {
			t.Errorf("ResourceReady says %q, want %q", message, want)
		}
	}
}

// A server stays as it is while its node is replaced, and is judged again on the new one.
func TestALostNodeIsReplacedAndTheServerKept(t *testing.T) {
	t.Parallel()
	ws := workspace(onDemand)
	there := demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, onNode("n1"))}, *testkit.Node("n1"))
	first := planner(t).decide(there)
	gone := demanded(ws, nil)
	gone.server = &appsv1.StatefulSet{}
	if d := planner(t).decide(gone); d.serving != nil || !slices.Equal(changed(gone, d), []string{"+0.0"}) {
		t.Errorf("after the loss: serving %v, changes %v", d.serving, changed(gone, d))
	}
	again := demanded(ws, []nodeclaim.NodeClaim{claim(ws, 0, 0, onItsWayOut), claim(ws, 0, 1, onNode("n2"))}, *testkit.Node("n2"))
	second := planner(t).decide(again)
	a, b := render.StatefulSet(*first.serving).Annotations[v1beta1.AnnotationConfigHash], render.StatefulSet(*second.serving).Annotations[v1beta1.AnnotationConfigHash]
	if a != b {
		t.Error("another node of the same kind rolls the pods")
	}
}

func TestOwnNodesHaveNoClaims(t *testing.T) {
	t.Parallel()
	ws := workspace()
	o := demanded(ws, []nodeclaim.NodeClaim{claim(workspace(func(ws *v1beta1.Workspace) { ws.UID = "earlier" }), 0, 0)}, *testkit.Node("n1"))
	d := planner(t).decide(o)
	if got := conditionsOf(d, ws, v1beta1.ConditionNodeClaimReady); got[0] != "NodeClaimReady is absent" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"-0.0"}, changed(o, d)); diff != "" {
		t.Errorf("the claim of an earlier Workspace of this name (-want +got):\n%s", diff)
	}
}

func TestNoNodesAreMadeWhereThatIsTurnedOff(t *testing.T) {
	t.Parallel()
	p := planner(t)
	p.NoProvisioning = true
	o := demanded(workspace(onDemand), nil)
	d := p.decide(o)
	if d.accepted.Reason != v1beta1.ReasonNodeProvisioningDisabled || len(changed(o, d)) > 0 || !d.final {
		t.Errorf("got %+v and %v", d.accepted, changed(o, d))
	}
}

func TestTheProvisionersReasonsAreKnown(t *testing.T) {
	t.Parallel()
	for theirs, ours := range map[string]string{
		nodeclaim.ReasonCreating: v1beta1.ReasonCreating, nodeclaim.ReasonCapacityExhausted: v1beta1.ReasonCapacityExhausted,
		nodeclaim.ReasonQuotaExceeded: v1beta1.ReasonQuotaExceeded, nodeclaim.ReasonSKUUnavailable: v1beta1.ReasonSKUUnavailable,
		nodeclaim.ReasonAuthFailed: v1beta1.ReasonAuthFailed, nodeclaim.ReasonThrottled: v1beta1.ReasonThrottled,
		nodeclaim.ReasonCloudUnreachable: v1beta1.ReasonCloudUnreachable, nodeclaim.ReasonNameTaken: v1beta1.ReasonNameTaken,
		nodeclaim.ReasonInvalid: v1beta1.ReasonInvalidRequest, nodeclaim.ReasonLimitReached: v1beta1.ReasonLimitReached,
		nodeclaim.ReasonNodeNotJoined: v1beta1.ReasonNodeNotJoined, nodeclaim.ReasonNodeNotReady: v1beta1.ReasonNodeNotReady,
		nodeclaim.ReasonGPUNotReady: v1beta1.ReasonGPUNotReady, nodeclaim.ReasonCloudBusy: v1beta1.ReasonCloudBusy,
		nodeclaim.ReasonLaunchTimeout: v1beta1.ReasonLaunchTimeout, nodeclaim.ReasonMachineGone: v1beta1.ReasonMachineGone,
		nodeclaim.ReasonResourceNotRegistered: v1beta1.ReasonResourceNotRegistered, nodeclaim.ReasonStartupTaints: v1beta1.ReasonStartupTaints,
		nodeclaim.ReasonManyNodes: v1beta1.ReasonManyNodes,
	} {
		if theirs != ours {
			t.Errorf("the provisioner says %q, and pages explain %q", theirs, ours)
		}
	}
	if v1beta1.LabelWorkspace != nodeclaim.LabelWorkspace || v1beta1.LabelWorkspaceNamespace != nodeclaim.LabelNamespace || v1beta1.AnnotationImageFamily != nodeclaim.AnnotationImageFamily {
		t.Error("the two sides of a claim call its labels differently")
	}
}

func rawTemplate(text string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(text)} }
