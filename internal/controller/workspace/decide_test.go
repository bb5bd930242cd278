package workspace

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/sizing"
	"kaito.sh/kaito/internal/testkit"
)

func planner(t *testing.T) Planner {
	t.Helper()
	models, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	types, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	return Planner{Catalog: models, Instances: types, Images: Images{
		Runner:  "registry.local:5000/kaito/runner:dev",
		Engines: map[string]string{"llamacpp": "registry.local:5000/kaito/llamacpp:dev"},
	}, Sources: Sources{Models: "registry.local:5000/kaito/models", Hub: "https://huggingface.co"}}
}

func workspace(edits ...func(*v1beta1.Workspace)) *v1beta1.Workspace {
	ws := &v1beta1.Workspace{
		ObjectMeta: metav1.ObjectMeta{Name: "chat", Namespace: "default", UID: "u", Generation: 1},
		Resource:   v1beta1.ResourceSpec{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"apps": "chat"}}},
		Inference:  &v1beta1.InferenceSpec{Preset: &v1beta1.PresetSpec{Name: "smollm2-135m-instruct"}},
	}
	for _, edit := range edits {
		edit(ws)
	}
	return ws
}

// running is what is observed of a Workspace whose server has the given number of ready pods.
func running(t *testing.T, ready int32, pods ...corev1.Pod) observed {
	t.Helper()
	o := observed{ws: workspace(), nodes: []corev1.Node{*testkit.Node("n1")}, pods: pods}
	applied := render.StatefulSet(*planner(t).decide(o).serving)
	o.server = &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "chat", Generation: 1, Annotations: applied.Annotations},
		Status:     appsv1.StatefulSetStatus{ObservedGeneration: 1, UpdatedReplicas: 1, ReadyReplicas: ready},
	}
	return o
}

func waitingPod(reason, message string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "chat-0"}, Spec: corev1.PodSpec{NodeName: "n1"},
		Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "engine", Image: "registry.local:5000/kaito/llamacpp:dev",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}},
	}
}

func crashed(reason, message string) corev1.Pod {
	p := waitingPod("CrashLoopBackOff", "back-off 10s")
	p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: reason, Message: message}
	return p
}

func TestADecisionSaysWhatIsTrueAndWhatWouldHelp(t *testing.T) {
	t.Parallel()
	node := func(edits ...func(*corev1.Node)) []corev1.Node { return []corev1.Node{*testkit.Node("n1", edits...)} }
	unscheduled := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "chat-0"}, Status: corev1.PodStatus{
		Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes are available: 1 Insufficient cpu.",
		}},
	}}
	evicted := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "chat-0"}, Spec: corev1.PodSpec{NodeName: "n1"}, Status: corev1.PodStatus{
		Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory",
	}}
	for name, tc := range map[string]struct {
		o     observed
		want  []string
		state v1beta1.WorkspaceState
		serve bool
	}{
		"a preset on a node that fits is served": {
			o:     observed{ws: workspace(), nodes: node()},
			want:  []string{"Accepted=True/Accepted", "NodesReady=True/NodesReady", "InferenceReady=False/WorkspaceInferenceStatusPending"},
			state: v1beta1.StatePending, serve: true,
		},
		"a server whose pods are ready answers": {
			o:     running(t, 1),
			want:  []string{"Accepted=True/Accepted", "NodesReady=True/NodesReady", "InferenceReady=True/WorkspaceInferenceStatusSuccess"},
			state: v1beta1.StateReady, serve: true,
		},
		"a selector that no node matches waits for nodes and refuses nothing": {
			o:     observed{ws: workspace()},
			want:  []string{"Accepted=True/Accepted", "NodesReady=False/NoMatchingNode", "InferenceReady=False/NoMatchingNode"},
			state: v1beta1.StatePending,
		},
		"nodes that are not ready are named": {
			o:     observed{ws: workspace(), nodes: node(testkit.NotReady)},
			want:  []string{"Accepted=True/Accepted", "NodesReady=False/NodeNotReady", "InferenceReady=False/NodeNotReady"},
			state: v1beta1.StatePending,
		},
		"a cordoned node takes nothing": {
			o:     observed{ws: workspace(), nodes: node(testkit.Cordoned)},
			want:  []string{"Accepted=True/Accepted", "NodesReady=False/NodeNotReady", "InferenceReady=False/NodeNotReady"},
			state: v1beta1.StatePending,
		},
		"a reference that names no image is refused": {
			o: observed{ws: workspace(func(ws *v1beta1.Workspace) {
				ws.Inference.Preset.PresetOptions = &v1beta1.PresetOptions{Image: "not an image"}
			}), nodes: node()},
			want:  []string{"Accepted=False/InvalidImage", "NodesReady=Unknown/NotAccepted", "InferenceReady=False/InvalidImage"},
			state: v1beta1.StateFailed,
		},
		"a model that is too large for every node is refused with what is missing": {
			o:     observed{ws: workspace(), nodes: node(testkit.Allocatable("4", "256Mi"))},
			want:  []string{"Accepted=False/DoesNotFit", "NodesReady=False/DoesNotFit", "InferenceReady=False/DoesNotFit"},
			state: v1beta1.StateFailed,
		},
		"a preset that is not known is refused": {
			o:     observed{ws: workspace(func(ws *v1beta1.Workspace) { ws.Inference.Preset.Name = "smollm2-135m-instrukt" }), nodes: node()},
			want:  []string{"Accepted=False/ModelNotFound", "NodesReady=Unknown/NotAccepted", "InferenceReady=False/ModelNotFound"},
			state: v1beta1.StateFailed,
		},
		"what a later version brings is refused, not ignored": {
			o: observed{ws: workspace(func(ws *v1beta1.Workspace) {
				ws.Resource.Partition = &v1beta1.PartitionSpec{Mode: v1beta1.PartitionMIG, Profile: "1g.10gb"}
				ws.Resource.InstanceType = "Standard_NC24ads_A100_v4"
			})},
			want:  []string{"Accepted=False/NotYetSupported", "NodesReady=Unknown/NotAccepted", "InferenceReady=False/NotYetSupported"},
			state: v1beta1.StateFailed,
		},
		"an object of somebody else is not taken over": {
			o:     observed{ws: workspace(), nodes: node(), strangers: []string{`Service "chat"`}},
			want:  []string{"Accepted=False/NameTaken", "NodesReady=Unknown/NotAccepted", "InferenceReady=False/NameTaken"},
			state: v1beta1.StateFailed,
		},
		"a selector that cannot be used is refused": {
			o:     observed{ws: workspace(), selectorError: sizing.ErrEmptySelector},
			want:  []string{"Accepted=False/InvalidSelector", "NodesReady=Unknown/NotAccepted", "InferenceReady=False/InvalidSelector"},
			state: v1beta1.StateFailed,
		},
		"an image that cannot be pulled": {
			o:     running(t, 0, waitingPod("ImagePullBackOff", "Back-off pulling image \"x\"")),
			want:  []string{"Accepted=True/Accepted", "NodesReady=True/NodesReady", "InferenceReady=False/ImagePullError"},
			state: v1beta1.StatePending, serve: true,
		},
		"a container that cannot be created": {
			o:     running(t, 0, waitingPod("CreateContainerConfigError", "configmap not found")),
			want:  []string{"Accepted=True/Accepted", "NodesReady=True/NodesReady", "InferenceReady=False/ContainerStartError"},
			state: v1beta1.StatePending, serve: true,
		},
		"an engine that ends again and again": {
			o:     running(t, 0, crashed("Error", `{"reason":"EngineExited","message":"llama-server ended with 1","phase":"loading"}`)),
			want:  []string{"Accepted=True/Accepted", "NodesReady=True/NodesReady", "InferenceReady=False/ContainerCrashLoopBackOff"},
			state: v1beta1.StatePending, serve: true,
		},
		"an engine that ran out of memory": {
			o:     running(t, 0, crashed("OOMKilled", "")),
			want:  []string{"Accepted=True/Accepted", "NodesReady=True/NodesReady", "InferenceReady=False/ContainerOOMKilled"},
			state: v1beta1.StatePending, serve: true,
		},
		"a pod that no node takes": {
			o:     running(t, 0, unscheduled),
			want:  []string{"Accepted=True/Accepted", "NodesReady=True/NodesReady", "InferenceReady=False/Unschedulable"},
			state: v1beta1.StatePending, serve: true,
		},
		"a pod that its node put out": {
			o:     running(t, 0, evicted),
			want:  []string{"Accepted=True/Accepted", "NodesReady=True/NodesReady", "InferenceReady=False/PodEvicted"},
			state: v1beta1.StatePending, serve: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := planner(t).decide(tc.o)
			var got []string
			for _, c := range []metav1.Condition{d.accepted, d.nodes, d.inference} {
				got = append(got, fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason))
				if c.Message == "" {
					t.Errorf("%s has no message", c.Type)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			if state := d.state(""); state != tc.state {
				t.Errorf("state is %q, want %q", state, tc.state)
			}
			if (d.serving != nil) != tc.serve {
				t.Errorf("serving is %v, want %v", d.serving != nil, tc.serve)
			}
		})
	}
}

func TestMessagesSayWhatHelps(t *testing.T) {
	t.Parallel()
	const pull = `Container "engine" of pod "chat-0" waits for an image, its own or that of the weights: ` +
		`check that the registry answers from the node, holds it and lets the node in; failed to pull: not found`
	for name, tc := range map[string]struct {
		o    observed
		want string
	}{
		"the near name of a preset":            {observed{ws: workspace(func(ws *v1beta1.Workspace) { ws.Inference.Preset.Name = "smollm2-135m-instrukt" })}, `No model is called "smollm2-135m-instrukt", which preset.name says: did you mean smollm2-135m-instruct?`},
		"how to label a node":                  {observed{ws: workspace()}, "No node matches the label selector \"apps=chat\": label one with `kubectl label node NODE KEY=VALUE`, it is picked up at once"},
		"what the runner left":                 {running(t, 0, crashed("Error", `{"reason":"EngineExited","message":"the engine ended with 1","phase":"loading"}`)), "Container \"engine\" of pod \"chat-0\" ends again and again: the engine ended with 1; see `kubectl logs --previous chat-0 -c engine`"},
		"the cause of a pull at its first try": {running(t, 0, waitingPod("ErrImagePull", "failed to pull: not found")), pull},
		"the same while the next try waits":    {running(t, 0, waitingPod("ImagePullBackOff", `Back-off pulling image "x": ErrImagePull: failed to pull: not found`)), pull},
		"which selector is not good":           {observed{ws: workspace(), selectorError: errors.New("it is odd")}, "resource.labelSelector cannot be used: it is odd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, planner(t).decide(tc.o).inference.Message); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFieldWithoutEffectIsNamed(t *testing.T) {
	t.Parallel()
	ws := workspace(func(ws *v1beta1.Workspace) {
		ws.Resource.Count = new(int32(2))
		ws.Annotations = map[string]string{v1beta1.AnnotationEnableLB: "yes", "kaito.sh/contxt": "512", "kaito.sh/somebody-elses": "x", "example.com/context": "y"}
	})
	got := planner(t).decide(observed{ws: ws, nodes: []corev1.Node{*testkit.Node("n1")}}).accepted
	want := v1beta1.Accepted("smollm2-135m-instruct", "resource.count changes nothing, because the plan says on how many of your own nodes the model runs",
		`annotation kaito.sh/enablelb is "yes" and changes nothing: say "True" for a load balancer`,
		"annotation kaito.sh/contxt changes nothing: did you mean kaito.sh/context?")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Accepted (-want +got):\n%s", diff)
	}
}

// Between two tries of an engine that ends the news stays the same: no write, no event.
func TestACrashIsTheNewsUntilThePodAnswers(t *testing.T) {
	t.Parallel()
	left := `{"reason":"EngineExited","message":"the engine ended with 1"}`
	waits := running(t, 0, crashed("Error", left))
	tried := waits.pods[0].DeepCopy()
	tried.Status.Phase = corev1.PodRunning
	tried.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	tried.Status.ContainerStatuses[0].RestartCount = 2
	first, second := planner(t).decide(waits).inference, planner(t).decide(running(t, 0, *tried)).inference
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the condition differs between wait (-) and try (+):\n%s", diff)
	}
	quiet := crashed("Completed", "")
	quiet.Status.ContainerStatuses[0].LastTerminationState.Terminated.ExitCode = 0
	if c := planner(t).decide(running(t, 0, quiet)).inference; c.Reason != v1beta1.ReasonContainerCrashLoop {
		t.Errorf("an engine that ends without an error has the reason %s, want %s", c.Reason, v1beta1.ReasonContainerCrashLoop)
	}
	tried.Status.ContainerStatuses[0].RestartCount = 1
	if c := planner(t).decide(running(t, 0, *tried)).inference; c.Reason != v1beta1.ReasonInferencePending {
		t.Errorf("a first restart has the reason %s, want %s", c.Reason, v1beta1.ReasonInferencePending)
	}
	tried.Status.ContainerStatuses[0].LastTerminationState.Terminated.Message = `{"reason":"WeightsUnreachable","message":"the hub did not answer"}`
	if c := planner(t).decide(running(t, 0, *tried)).inference; c.Reason != v1beta1.ReasonWeightsUnreachable {
		t.Errorf("a pod that fetches again what it could not fetch has the reason %s, want %s", c.Reason, v1beta1.ReasonWeightsUnreachable)
	}
}

func TestAnEditThatIsNotAcceptedLeavesTheServerAsItWas(t *testing.T) {
	t.Parallel()
	o := running(t, 1)
	o.ws.Inference.Preset.Name = "no-such-model"
	d := planner(t).decide(o)
	if d.serving != nil {
		t.Error("children are written for a Workspace that is not accepted")
	}
	if d.inference.Status != metav1.ConditionTrue || d.inference.Reason != v1beta1.ReasonServingPreviousVersion {
		t.Errorf("InferenceReady is %s/%s, want True/ServingPreviousVersion", d.inference.Status, d.inference.Reason)
	}
}

func TestAStatusChangesOnlyWithTheNews(t *testing.T) {
	t.Parallel()
	o := running(t, 1)
	first := planner(t).decide(o).status(o.ws, metav1.Unix(1000, 0))
	o.ws.Status = first
	second := planner(t).decide(o).status(o.ws, metav1.Unix(2000, 0))
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the same observation gives another status (-first +second):\n%s", diff)
	}
	o.server.Status.ReadyReplicas = 0
	third := planner(t).decide(o).status(o.ws, metav1.Unix(3000, 0))
	if third.State != v1beta1.StateNotReady {
		t.Errorf("state is %q after the server went away, want NotReady", third.State)
	}
	if news := turned(second.Conditions, third.Conditions); len(news) != 1 || news[0].Type != v1beta1.ConditionInferenceReady {
		t.Errorf("news are %v, want InferenceReady alone", news)
	}
}
