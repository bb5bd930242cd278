package workspace

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/testkit"
)

// said is what InferenceReady says of a Workspace with these pods.
func said(t *testing.T, o observed) string {
	t.Helper()
	c := planner(t).decide(o).inference
	return c.Reason + ": " + c.Message
}

func podWith(status corev1.PodStatus) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "chat-0"}, Spec: corev1.PodSpec{NodeName: "n1"}, Status: status}
}

func left(reason, message string) corev1.Pod {
	return crashed("Error", fmt.Sprintf(`{"reason":%q,"message":%q,"exitCode":2,"phase":"fetching"}`, reason, message))
}

func TestEveryFailureHasItsReasonAndFix(t *testing.T) {
	t.Parallel()
	evicted := func(why string) corev1.Pod {
		return podWith(corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: why})
	}
	const weights = "registry.local:5000/kaito/models/smollm2-135m-instruct:gguf"
	const memory = "838 MiB, of which 94 MiB are for the weights and 360 MiB for the KV cache"
	for name, tc := range map[string]struct {
		pod  corev1.Pod
		want string
	}{
		"the image of the weights cannot be pulled": {
			waitingPod("ImagePullBackOff", `Back-off pulling image "`+weights+`": ErrImagePull: failed to pull and unpack image "`+weights+`": not found`),
			`ImagePullError: Container "engine" of pod "chat-0" waits for the image of the weights, "` + weights + `": ` +
				`check that the registry answers from the node, holds it and lets the node in; failed to pull and unpack image "` + weights + `": not found`,
		},
		"the container's own image cannot be pulled": {
			waitingPod("ErrImagePull", `failed to pull and unpack image "registry.local:5000/kaito/llamacpp:dev": 401 Unauthorized`),
			`ImagePullError: Container "engine" of pod "chat-0" waits for its image, "registry.local:5000/kaito/llamacpp:dev": ` +
				`check that the registry answers from the node, holds it and lets the node in; failed to pull and unpack image "registry.local:5000/kaito/llamacpp:dev": 401 Unauthorized`,
		},
		"a reference that containerd cannot read": {
			waitingPod("InvalidImageName", `couldn't parse image name "A"`),
			`ImagePullError: Container "engine" of pod "chat-0" waits for an image, its own or that of the weights: correct the reference; couldn't parse image name "A"`,
		},
		"a Secret is missing": {
			waitingPod("CreateContainerConfigError", `secret "token" not found`),
			`ContainerStartError: Container "engine" of pod "chat-0" cannot be started: secret "token" not found; create in this namespace what is missing, it is picked up at once`,
		},
		"the runtime cannot start it": {
			waitingPod("CreateContainerError", "ImageVolumeMountFailed: no such image"),
			"ContainerStartError: Container \"engine\" of pod \"chat-0\" cannot be started: CreateContainerError: ImageVolumeMountFailed: no such image; see `kubectl describe pod chat-0`",
		},
		"the kernel ran out of the pod's memory": {
			crashed("OOMKilled", ""),
			`ContainerOOMKilled: Container "engine" of pod "chat-0" was killed because it used all the memory it may, ` + memory +
				`: ask for a smaller context in inference.config, use a smaller model, or report status.plan as too small`,
		},
		"the runner saw that its engine ran out of memory": {
			left("OutOfMemory", "the engine used up its memory"),
			`ContainerOOMKilled: Container "engine" of pod "chat-0" was killed because it used all the memory it may, ` + memory +
				`: ask for a smaller context in inference.config, use a smaller model, or report status.plan as too small`,
		},
		"the hub does not answer":        {left("WeightsUnreachable", "https://hub did not answer"), `WeightsUnreachable: Pod "chat-0" has no weights: https://hub did not answer`},
		"the hub wants a token":          {left("WeightsRefused", "the hub wants a token"), `WeightsRefused: Pod "chat-0" has no weights: the hub wants a token`},
		"the repository does not exist":  {left("WeightsNotFound", "there is no such repository"), `WeightsNotFound: Pod "chat-0" has no weights: there is no such repository`},
		"the bytes are wrong":            {left("WeightsCorrupt", "another digest"), `WeightsCorrupt: Pod "chat-0" has no weights: another digest`},
		"the files cannot be taken":      {left("WeightsUnusable", "pickles only"), `WeightsUnusable: Pod "chat-0" has no weights: pickles only`},
		"the volume is full":             {left("DiskFull", "The volume is full; mount a larger one"), `DiskFull: Pod "chat-0" has no room for the weights: The volume is full; mount a larger one`},
		"runner and operator do not fit": {left("ConfigInvalid", "unknown field"), `ContainerCrashLoopBackOff: The runner in pod "chat-0" does not understand what the operator tells it: unknown field; install operator and runner of one version`},
		"an image without the model's files": {
			left("WeightsMissing", `the engine needs a file that is not there`),
			`WeightsUnusable: Pod "chat-0" has no weights: the engine needs a file that is not there; image "` + weights +
				"\" does not hold model \"smollm2-135m-instruct\" as Kaito packages it: push it with `kaito model push`, or name another image",
		},
		"no node has room": {
			corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "chat-0"}, Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes are available: 1 Insufficient cpu.",
			}}}},
			`Unschedulable: No node takes pod "chat-0", which asks for 1000m of CPU and 838 MiB of memory, now: 0/1 nodes are available: 1 Insufficient cpu; ` +
				`free a node that matches the label selector, or label another one`,
		},
		"evicted for the node's memory": {
			evicted("The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi."),
			`PodEvicted: Node "n1" put pod "chat-0" out: The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi; ` +
				`give the node more memory, move other pods away, or use another node`,
		},
		"evicted for the node's disk": {
			evicted("The node was low on resource: ephemeral-storage. "),
			`PodEvicted: Node "n1" put pod "chat-0" out: The node was low on resource: ephemeral-storage; free some of the node's disk, give it a larger one, or use another node`,
		},
		"evicted for what it wrote itself": {
			evicted(`Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". `),
			`PodEvicted: Node "n1" put pod "chat-0" out: Usage of EmptyDir volume "tmp" exceeds the limit "1Gi"; the pod wrote more than it may: use a smaller model, or report status.plan as too small`,
		},
		"the node does not keep it": {
			podWith(corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfmemory", Message: "Pod was rejected: Node didn't have enough resource: memory"}),
			"PodRejected: Node \"n1\" did not keep pod \"chat-0\": OutOfmemory: Pod was rejected: Node didn't have enough resource: memory; see `kubectl describe node n1`",
		},
		"a volume cannot be mounted": {
			podWith(corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse}}}),
			"WorkspaceInferenceStatusPending: The server is being started: node n1 prepares volumes and network; if that lasts, `kubectl describe pod chat-0` says why",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, said(t, running(t, 0, tc.pod))); diff != "" {
				t.Errorf("InferenceReady (-want +got):\n%s", diff)
			}
		})
	}
}

// A pod on a silent node is never replaced by itself, and it says so also while it is to go.
func TestAPodOnALostNodeSaysHowItComesBack(t *testing.T) {
	t.Parallel()
	o := running(t, 0)
	o.nodes = []corev1.Node{*testkit.Node("n1", testkit.NotReady), *testkit.Node("n2")}
	gone := podWith(corev1.PodStatus{Phase: corev1.PodRunning})
	gone.DeletionTimestamp = new(metav1.Unix(1, 0))
	want := "NodeLost: Pod \"chat-0\" is on node \"n1\", which is not ready: bring the node back, or, when it is gone for good, " +
		"`kubectl delete node n1`, and the pod is made anew elsewhere"
	for _, p := range []corev1.Pod{podWith(corev1.PodStatus{Phase: corev1.PodRunning}), gone} {
		o.pods = []corev1.Pod{p}
		if diff := cmp.Diff(want, said(t, o)); diff != "" {
			t.Errorf("InferenceReady (-want +got):\n%s", diff)
		}
	}
}

func TestATemplatesFailuresSpeakOfTheTemplate(t *testing.T) {
	t.Parallel()
	o := observed{ws: ofTemplate(t, goodTemplate), nodes: []corev1.Node{*testkit.Node("n1")}, pods: []corev1.Pod{crashed("OOMKilled", "")}}
	want := `ContainerOOMKilled: Container "engine" of pod "chat-0" was killed because it used all the memory it may: raise resources.limits.memory`
	if diff := cmp.Diff(want, said(t, o)); diff != "" {
		t.Errorf("InferenceReady (-want +got):\n%s", diff)
	}
	o.pods = []corev1.Pod{podWith(corev1.PodStatus{Phase: corev1.PodRunning})}
	want = "WorkspaceInferenceStatusPending: The server is being started: its containers run and are not ready yet"
	if diff := cmp.Diff(want, said(t, o)); diff != "" {
		t.Errorf("InferenceReady (-want +got):\n%s", diff)
	}
}

// What a message says of the memory is what the container may use.
func TestTheMemoryThatMessagesNameIsTheLimit(t *testing.T) {
	t.Parallel()
	s := planner(t).decide(observed{ws: workspace(), nodes: []corev1.Node{*testkit.Node("n1")}}).serving
	limit := *render.StatefulSet(*s).Spec.Template.Spec.Containers[0].Resources.Limits
	if got := s.Plan.Memory.Total(); limit.Memory().Value() != int64(got) {
		t.Errorf("a message would speak of %s, the container may use %s", got, limit.Memory())
	}
}
