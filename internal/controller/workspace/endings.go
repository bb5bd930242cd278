package workspace

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/ending"
)

// ended looks at a container that has ended and does not run again yet, or that
// has ended more than once and is being tried again: the news stays the same
// between one try and the next.
func ended(t *thought, p *corev1.Pod, s corev1.ContainerStatus) (metav1.Condition, bool) {
	last := end(s)
	if last == nil {
		return metav1.Condition{}, false
	}
	why := told(last)
	if last.Reason == "OOMKilled" || why.Reason == ending.OutOfMemory {
		return outOfMemory(t, p, s.Name), true
	}
	if s.Name == render.AdaptersContainer {
		if c, known := withoutAdapters(p, why); known {
			return c, true
		}
	}
	if reason, known := ofWeights()[why.Reason]; known {
		return v1beta1.InferenceNotReady(reason, "%s", aboutWeights(t, p, why)), true
	}
	if why.Reason == ending.GroupBroken {
		return v1beta1.InferenceNotReady(v1beta1.ReasonGroupRestarting,
			"The %d pods serve the model together and start again together: pod %q says that %s; see `kubectl logs --previous` of each", t.serving.Plan.Nodes, p.Name, why.Message), true
	}
	if why.Reason == ending.ConfigInvalid {
		return v1beta1.InferenceNotReady(v1beta1.ReasonContainerCrashLoop,
			"The runner in pod %q does not understand what the operator tells it: %s; install operator and runner of one version", p.Name, why.Message), true
	}
	return v1beta1.InferenceNotReady(v1beta1.ReasonContainerCrashLoop,
		"Container %q of pod %q ends again and again: %s; see `kubectl logs --previous %s -c %s`", s.Name, p.Name, why.Message, p.Name, s.Name), true
}

// end is how a container ended, when that is the news.
func end(s corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	last := s.State.Terminated
	looping := s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff"
	before := s.LastTerminationState.Terminated
	if last == nil && !s.Ready && before != nil && (s.State.Waiting != nil || s.RestartCount > 1 || withoutWeights(before)) {
		last = before
	}
	if last == nil || (last.ExitCode == 0 && !looping) {
		return nil
	}
	return last
}

// withoutWeights is true of an end for which a next try will mostly be the same, a while later:
// one is enough to tell it until the server answers.
func withoutWeights(t *corev1.ContainerStateTerminated) bool {
	_, known := ofWeights()[told(t).Reason]
	return known
}

// told is what the runner left as its termination message, else what the kubelet knows.
func told(t *corev1.ContainerStateTerminated) ending.Ending {
	var e ending.Ending
	if err := json.Unmarshal([]byte(t.Message), &e); err == nil && e.Message != "" {
		return e
	}
	return ending.Ending{Message: fmt.Sprintf("exit code %d, %s", t.ExitCode, t.Reason)}
}

func outOfMemory(t *thought, p *corev1.Pod, container string) metav1.Condition {
	if t.serving.Template != nil || container != render.EngineContainer {
		return v1beta1.InferenceNotReady(v1beta1.ReasonContainerOOMKilled,
			"Container %q of pod %q was killed because it used all the memory it may: raise resources.limits.memory", container, p.Name)
	}
	return v1beta1.InferenceNotReady(v1beta1.ReasonContainerOOMKilled,
		"Container %q of pod %q was killed because it used all the memory it may, %s: ask for a smaller context in inference.config, use a smaller model, or report status.plan as too small",
		container, p.Name, parts(t.serving.Plan.Memory))
}

// ofWeights are the endings that are about weights, with the reasons that users see.
func ofWeights() map[ending.Reason]string {
	return map[ending.Reason]string{
		ending.WeightsMissing:     v1beta1.ReasonWeightsUnusable,
		ending.WeightsUnusable:    v1beta1.ReasonWeightsUnusable,
		ending.WeightsUnreachable: v1beta1.ReasonWeightsUnreachable,
		ending.WeightsRefused:     v1beta1.ReasonWeightsRefused,
		ending.WeightsNotFound:    v1beta1.ReasonWeightsNotFound,
		ending.WeightsCorrupt:     v1beta1.ReasonWeightsCorrupt,
		ending.DiskFull:           v1beta1.ReasonDiskFull,
	}
}

// aboutWeights adds to the runner's words where the weights should have come from.
// What to do the runner says itself, except where it cannot know.
func aboutWeights(t *thought, p *corev1.Pod, why ending.Ending) string {
	text := fmt.Sprintf("Pod %q has no weights: %s", p.Name, why.Message)
	if why.Reason == ending.DiskFull {
		text = fmt.Sprintf("Pod %q has no room for the weights: %s", p.Name, why.Message)
	}
	if image := t.serving.Weights.Image; image != "" && why.Reason == ending.WeightsMissing {
		text += fmt.Sprintf("; image %q does not hold model %q as Kaito packages it: push it with `kaito model push`, or name another image", image, t.model.ID)
	}
	return text
}
