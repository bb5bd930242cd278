package workspace

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
)

// trouble is the first thing that keeps a pod from answering, by the order of names. Pods
// that end because another one did come after that one.
func trouble(t *thought) (metav1.Condition, bool) {
	var follows metav1.Condition
	for _, p := range sorted(t.pods) {
		if c, found := lost(t, &p); found {
			return c, true
		}
		if !p.DeletionTimestamp.IsZero() || triedInVain(t, p) {
			continue
		}
		for _, look := range []func(*thought, *corev1.Pod) (metav1.Condition, bool){failed, unschedulable, containers} {
			c, found := look(t, &p)
			switch {
			case found && c.Reason != v1beta1.ReasonGroupRestarting:
				return c, true
			case found:
				follows = c
			}
		}
	}
	return follows, follows.Type != ""
}

// triedInVain is true of the pod that found no model in the user's image: the image is
// ignored by now, and its successor has its weights from elsewhere.
func triedInVain(t *thought, p corev1.Pod) bool {
	return t.serving.Weights.Ignored != "" && !current(t) && withoutModel(p)
}

// lost is a pod on a node that does not answer. It is looked for before all else and
// also on pods that are to go: one whose node is silent is never replaced by itself,
// because it might still be running.
func lost(t *thought, p *corev1.Pod) (metav1.Condition, bool) {
	i := slices.IndexFunc(t.observed.nodes, func(n corev1.Node) bool { return n.Name == p.Spec.NodeName })
	if i < 0 || sizing.NodeReady(&t.observed.nodes[i]) {
		return metav1.Condition{}, false
	}
	return v1beta1.InferenceNotReady(v1beta1.ReasonNodeLost,
		"Pod %q is on node %q, which is not ready: bring the node back, or, when it is gone for good, `kubectl delete node %s`, and the pod is made anew elsewhere",
		p.Name, p.Spec.NodeName, p.Spec.NodeName), true
}

// failed is a pod that its node has ended or did not take.
func failed(_ *thought, p *corev1.Pod) (metav1.Condition, bool) {
	why := strings.TrimSuffix(strings.TrimSpace(p.Status.Message), ".")
	switch {
	case p.Status.Phase != corev1.PodFailed || p.Status.Reason == "":
		return metav1.Condition{}, false
	case p.Status.Reason == "Evicted":
		return v1beta1.InferenceNotReady(v1beta1.ReasonPodEvicted,
			"Node %q put pod %q out: %s; %s", p.Spec.NodeName, p.Name, why, moreRoom(why)), true
	}
	return v1beta1.InferenceNotReady(v1beta1.ReasonPodRejected,
		"Node %q did not keep pod %q: %s: %s; see `kubectl describe node %s`", p.Spec.NodeName, p.Name, p.Status.Reason, why, p.Spec.NodeName), true
}

// moreRoom is what helps against an eviction; the kubelet names the resource.
func moreRoom(why string) string {
	switch {
	case strings.Contains(why, "EmptyDir"), strings.Contains(why, "emptyDir"):
		return "the pod wrote more than it may: use a smaller model, or report status.plan as too small"
	case strings.Contains(why, "memory"):
		return "give the node more memory, move other pods away, or use another node"
	case strings.Contains(why, "storage"), strings.Contains(why, "inodes"), strings.Contains(why, "fs"):
		return "free some of the node's disk, give it a larger one, or use another node"
	}
	return "give the node more room, or use another one"
}

func unschedulable(t *thought, p *corev1.Pod) (metav1.Condition, bool) {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return v1beta1.InferenceNotReady(v1beta1.ReasonUnschedulable,
				"No node takes pod %q%s now: %s; free a node that matches the label selector, or label another one",
				p.Name, asks(t), strings.TrimSuffix(c.Message, ".")), true
		}
	}
	return metav1.Condition{}, false
}

// asks is what a pod of the plan wants of its node.
func asks(t *thought) string {
	if t.serving.Template != nil {
		return ""
	}
	p := t.serving.Plan
	if p.GPU != nil {
		gpus := fmt.Sprintf("%d GPUs", p.GPUs())
		if named := p.Resource(); named != "" {
			gpus = fmt.Sprintf("%d x %s", p.GPUs(), named)
		}
		return fmt.Sprintf(", which asks for %s, %dm of CPU and %s of memory,", gpus, p.CPU, p.Memory.Total())
	}
	return fmt.Sprintf(", which asks for %dm of CPU and %s of memory,", p.CPU, p.Memory.Total())
}

func containers(t *thought, p *corev1.Pod) (metav1.Condition, bool) {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if c, found := ended(t, p, s); found {
			return c, true
		}
		if c, found := waiting(t, p, s); found {
			return c, true
		}
	}
	return metav1.Condition{}, false
}

func waiting(t *thought, p *corev1.Pod, s corev1.ContainerStatus) (metav1.Condition, bool) {
	if s.State.Waiting == nil {
		return metav1.Condition{}, false
	}
	message := s.State.Waiting.Message
	switch reason := s.State.Waiting.Reason; reason {
	case "", "PodInitializing", "ContainerCreating":
		return metav1.Condition{}, false
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable":
		return v1beta1.InferenceNotReady(v1beta1.ReasonImagePullError, "Container %q of pod %q waits for %s: %s; %s",
			s.Name, p.Name, whichImage(t, message), pullFix(reason), pullMessage(message)), true
	case "CreateContainerConfigError":
		return v1beta1.InferenceNotReady(v1beta1.ReasonContainerStartError,
			"Container %q of pod %q cannot be started: %s; create in this namespace what is missing, it is picked up at once", s.Name, p.Name, message), true
	default:
		return v1beta1.InferenceNotReady(v1beta1.ReasonContainerStartError,
			"Container %q of pod %q cannot be started: %s: %s; see `kubectl describe pod %s`", s.Name, p.Name, reason, message, p.Name), true
	}
}

// whichImage tells the weights from the container's own image: the kubelet reports both at the container.
func whichImage(t *thought, message string) string {
	if weights := t.serving.Weights.Image; weights != "" && strings.Contains(message, weights) {
		return fmt.Sprintf("the image of the weights, %q", weights)
	}
	for _, image := range []string{t.serving.Images.Engine, t.serving.Images.Runner} {
		if image != "" && strings.Contains(message, image) {
			return fmt.Sprintf("its image, %q", image)
		}
	}
	if t.serving.Weights.Image == "" {
		return "its image"
	}
	return "an image, its own or that of the weights"
}

func pullFix(reason string) string {
	switch reason {
	case "InvalidImageName":
		return "correct the reference"
	case "ErrImageNeverPull":
		return "load it onto the node, or let the node pull it"
	}
	return "check that the registry answers from the node, holds it and lets the node in"
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

// parts says what the memory of a plan is for, largest first where it matters.
func parts(m model.Memory) string {
	if m.Weights == 0 { // they are in the memory of GPUs
		return m.Total().String()
	}
	return fmt.Sprintf("%s, of which %s are for the weights and %s for the KV cache", m.Total(), m.Weights, m.KVCache)
}
