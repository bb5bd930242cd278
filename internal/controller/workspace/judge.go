package workspace

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/ending"
)

// judge says whether the newest server answers and, where it does not, why.
func judge(t *thought) metav1.Condition {
	if current(t) && t.server.Status.ReadyReplicas >= int32(t.serving.Plan.Nodes) {
		return v1beta1.InferenceReady(t.ws.Name)
	}
	if cause, ok := trouble(t.pods); ok {
		return cause
	}
	if len(t.pods) == 0 {
		return v1beta1.InferenceNotReady(v1beta1.ReasonInferencePending, "The server's pod is being created; if it does not come, `kubectl describe statefulset %s` says why", t.ws.Name)
	}
	return v1beta1.InferenceNotReady(v1beta1.ReasonInferencePending, "The server is being started: %s", progress(t.pods))
}

// current is true when the status of the StatefulSet is about the template that this pass applies.
func current(t *thought) bool {
	if t.server == nil {
		return false
	}
	wanted := render.StatefulSet(*t.serving).Annotations[v1beta1.AnnotationConfigHash]
	s := t.server
	return s.Annotations[v1beta1.AnnotationConfigHash] == wanted &&
		s.Status.ObservedGeneration >= s.Generation &&
		s.Status.UpdatedReplicas >= int32(t.serving.Plan.Nodes)
}

// trouble is the first thing that keeps a pod from answering, by the order of names.
func trouble(pods []corev1.Pod) (metav1.Condition, bool) {
	sorted := slices.Clone(pods)
	slices.SortFunc(sorted, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for i := range sorted {
		p := &sorted[i]
		if !p.DeletionTimestamp.IsZero() {
			continue
		}
		for _, look := range []func(*corev1.Pod) (metav1.Condition, bool){evicted, unschedulable, containers} {
			if c, found := look(p); found {
				return c, true
			}
		}
	}
	return metav1.Condition{}, false
}

func evicted(p *corev1.Pod) (metav1.Condition, bool) {
	if p.Status.Phase != corev1.PodFailed || p.Status.Reason != "Evicted" {
		return metav1.Condition{}, false
	}
	return v1beta1.InferenceNotReady(v1beta1.ReasonPodEvicted,
		"Node %q put pod %q out: %s; give the node more room or use another one", p.Spec.NodeName, p.Name, p.Status.Message), true
}

func unschedulable(p *corev1.Pod) (metav1.Condition, bool) {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return v1beta1.InferenceNotReady(v1beta1.ReasonUnschedulable,
				"No node takes pod %q now: %s; free a node that matches the label selector, or label another one", p.Name, strings.TrimSuffix(c.Message, ".")), true
		}
	}
	return metav1.Condition{}, false
}

func containers(p *corev1.Pod) (metav1.Condition, bool) {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if c, found := ended(p, s); found {
			return c, true
		}
		if c, found := waiting(p, s); found {
			return c, true
		}
	}
	return metav1.Condition{}, false
}

// ended looks at a container that has ended and does not run again yet, or that
// has ended more than once and is being tried again: the news stays the same
// between one try and the next.
func ended(p *corev1.Pod, s corev1.ContainerStatus) (metav1.Condition, bool) {
	last := s.State.Terminated
	looping := s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff"
	if last == nil && !s.Ready && (s.State.Waiting != nil || s.RestartCount > 1) {
		last = s.LastTerminationState.Terminated
	}
	if last == nil || (last.ExitCode == 0 && !looping) {
		return metav1.Condition{}, false
	}
	why := told(last)
	if last.Reason == "OOMKilled" || why.Reason == ending.OutOfMemory {
		return v1beta1.InferenceNotReady(v1beta1.ReasonContainerOOMKilled,
			"Container %q of pod %q was killed because it used all the memory it may: use a smaller model, or report the plan in status.plan as too small", s.Name, p.Name), true
	}
	return v1beta1.InferenceNotReady(v1beta1.ReasonContainerCrashLoop,
		"Container %q of pod %q ends again and again: %s; see `kubectl logs --previous %s -c %s`", s.Name, p.Name, why.Message, p.Name, s.Name), true
}

// told is what the runner left as its termination message, else what the kubelet knows.
func told(t *corev1.ContainerStateTerminated) ending.Ending {
	var e ending.Ending
	if err := json.Unmarshal([]byte(t.Message), &e); err == nil && e.Message != "" {
		return e
	}
	return ending.Ending{Message: fmt.Sprintf("exit code %d, %s", t.ExitCode, t.Reason)}
}

func waiting(p *corev1.Pod, s corev1.ContainerStatus) (metav1.Condition, bool) {
	if s.State.Waiting == nil {
		return metav1.Condition{}, false
	}
	switch reason := s.State.Waiting.Reason; reason {
	case "", "PodInitializing", "ContainerCreating":
		return metav1.Condition{}, false
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable":
		return v1beta1.InferenceNotReady(v1beta1.ReasonImagePullError,
			"Container %q of pod %q waits for an image, its own or that of the weights: check that the registry answers from the node and holds it; %s",
			s.Name, p.Name, pullMessage(s.State.Waiting.Message)), true
	default:
		return v1beta1.InferenceNotReady(v1beta1.ReasonContainerStartError,
			"Container %q of pod %q cannot be started: %s: %s; see `kubectl describe pod %s`", s.Name, p.Name, reason, s.State.Waiting.Message, p.Name), true
	}
}

// pullMessage is the cause without what differs between one try and the wait for
// the next: the kubelet says the one and then `Back-off pulling image "x": ErrImagePull: ` before it.
func pullMessage(message string) string {
	if _, cause, found := strings.Cut(message, "ErrImagePull: "); found {
		message = cause
	}
	if message == "" {
		return "the kubelet gives no reason"
	}
	return message
}

// progress says which step of a start the pods are at.
func progress(pods []corev1.Pod) string {
	step := "the engine loads the model"
	for i := range pods {
		p := &pods[i]
		switch {
		case p.Spec.NodeName == "":
			return "the pod waits for a node"
		case p.Status.Phase == corev1.PodPending:
			step = "images and weights are being pulled to node " + p.Spec.NodeName
		}
	}
	return step
}
