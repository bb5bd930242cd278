package workspace

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/sizing"
)

// reasonOOMKilled is the kubelet's word for a container that used up its memory.
const reasonOOMKilled = "OOMKilled"

// reasonOf is the reason that users see of an end of a check or of a training.
func reasonOf(r ending.Reason) string {
	switch r {
	case ending.DataRefused, ending.DataNotFound, ending.DataInvalid, ending.DataUnreachable,
		ending.PushRefused, ending.PushSecretUnusable, ending.PushUnreachable,
		ending.WeightsRefused, ending.WeightsNotFound, ending.WeightsCorrupt, ending.WeightsUnusable, ending.WeightsUnreachable,
		ending.DiskFull, ending.TrainingFailed:
		return string(r) // they are called the same
	case ending.ConfigInvalid:
		return v1beta1.ReasonInvalidSettings
	case ending.WeightsMissing:
		return v1beta1.ReasonWeightsUnusable
	case ending.OutOfMemory:
		return v1beta1.ReasonContainerOOMKilled
	case ending.Reason(v1beta1.ReasonCheckFailed):
		return v1beta1.ReasonCheckFailed
	}
	return v1beta1.ReasonTrainingFailed
}

// fault is how a pod of a training ended badly.
type fault struct {
	reason, message string
	// final is true of an end that would come again.
	final bool
	// seen is true where the Job's own policy ends it as well.
	seen bool
}

// faultOf says how a pod of a training failed; nil where it has not.
func faultOf(t *thought, pod *corev1.Pod) *fault {
	if pod.Status.Reason != "" && pod.Status.Phase == corev1.PodFailed {
		return &fault{reason: v1beta1.ReasonPodEvicted, message: fmt.Sprintf("node %q put pod %q out: %s", pod.Spec.NodeName, pod.Name,
			strings.TrimSuffix(strings.TrimSpace(pod.Status.Reason+": "+pod.Status.Message), "."))}
	}
	for _, s := range append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...) {
		last := s.State.Terminated
		if last == nil || last.ExitCode == 0 || s.Name == render.CheckpointContainer {
			continue
		}
		said := told(last)
		if last.Reason == reasonOOMKilled && said.Reason != ending.OutOfMemory {
			said = ending.Ending{Reason: ending.OutOfMemory, Message: "Container " + fmt.Sprintf("%q", s.Name) + " used up the memory that it may, " +
				t.tuned.memory() + "; set a lower TrainingArguments.max_length or per_device_train_batch_size in tuning.config, or use a node with more memory"}
		}
		f := &fault{reason: reasonOf(said.Reason), message: said.Message, seen: last.ExitCode == ending.CodeConfig}
		f.final = f.seen && said.Reason != "" || said.Reason == ending.OutOfMemory
		if said.Reason == "" {
			f.message = fmt.Sprintf("container %q of pod %q ended with %s", s.Name, pod.Name, said.Message)
		}
		return f
	}
	return nil
}

// memory says how much the trainer may take, as far as a plan is known.
func (d *tuned) memory() string {
	if total := d.wants.Plan.Memory.Total(); total > 0 {
		return total.String()
	}
	return "as its pod says"
}

// podTrouble says what keeps the newest pod of a Job from running, or nothing.
func podTrouble(o observed, pods []corev1.Pod) string {
	if len(pods) == 0 {
		return ""
	}
	pod := &pods[len(pods)-1]
	if away := silentNode(o, pod); away != "" {
		return fmt.Sprintf("pod %q is on node %q, which is not ready: bring the node back, or, when it is gone for good, `kubectl delete node %s`, and the pod is made anew elsewhere",
			pod.Name, away, away)
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return fmt.Sprintf("no node takes pod %q now: %s; free a node, or add one", pod.Name, strings.TrimSuffix(c.Message, "."))
		}
	}
	for _, s := range append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...) {
		if s.State.Waiting == nil {
			continue
		}
		switch reason := s.State.Waiting.Reason; reason {
		case "", "PodInitializing", "ContainerCreating":
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable":
			return fmt.Sprintf("container %q of pod %q waits for its image: %s; %s", s.Name, pod.Name, pullFix(reason), pullMessage(s.State.Waiting.Message))
		default:
			return fmt.Sprintf("container %q of pod %q cannot be started: %s: %s", s.Name, pod.Name, reason, s.State.Waiting.Message)
		}
	}
	return ""
}

// silentNode is the node of a pod where that node does not answer.
func silentNode(o observed, pod *corev1.Pod) string {
	for i := range o.nodes {
		if o.nodes[i].Name == pod.Spec.NodeName && !sizing.NodeReady(&o.nodes[i]) {
			return pod.Spec.NodeName
		}
	}
	return ""
}
