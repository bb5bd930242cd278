package workspace

import (
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
)

// Phases of a start, as the runner names them at /health.
const (
	phaseFetching = "fetching"
	phaseStarting = "starting"
	phaseLoading  = "loading"
)

// Startups asks ready pods how long their phases took, beside the controller.
type Startups interface {
	// Ask returns at once; a pod that was asked before is not asked again.
	Ask(workspace types.NamespacedName, pod types.UID, address string)
	// Answer is the seconds of each phase, or nil while nobody has said.
	Answer(pod types.UID) map[string]float64
	// News are the Workspaces of whose pods an answer has come.
	News() <-chan types.NamespacedName
}

// leader is the ready pod that a start is told by: the first by name.
func leader(pods []corev1.Pod) *corev1.Pod {
	for _, p := range sorted(pods) {
		if p.DeletionTimestamp.IsZero() && podSince(&p, corev1.PodReady) != nil {
			return &p
		}
	}
	return nil
}

// startup is how long each phase of the start took, once the server answers. What the
// kubelet knows is written together with the condition that it answers; what the
// runner says replaces two of the figures when it comes. After that it stays as it is
// until another start.
func startup(t *thought) *v1beta1.StartupStatus {
	before, pod := t.ws.Status.Startup, leader(t.pods)
	if t.inference.Reason != v1beta1.ReasonInferenceReady || pod == nil {
		return before
	}
	status := before.DeepCopy()
	if status == nil || !answersNow(t.ws.Status) {
		status = toldByKubelet(t.ws, pod)
	}
	if len(t.phases) > 0 {
		status.LoadSeconds = seconds(t.phases[phaseStarting] + t.phases[phaseLoading])
		if _, fetched := t.phases[phaseFetching]; fetched {
			status.WeightsSeconds = seconds(t.phases[phaseFetching])
		}
	}
	return status
}

// toldByKubelet is what the kubelet knows of a start. An image volume is pulled together
// with the images, and its time is theirs.
func toldByKubelet(ws *v1beta1.Workspace, pod *corev1.Pod) *v1beta1.StartupStatus {
	status := &v1beta1.StartupStatus{}
	wanted, ready := pod.CreationTimestamp.Time, podSince(pod, corev1.PodReady)
	if before := ws.Status.Startup; before != nil && before.FirstAnswerSeconds != nil {
		status.FirstAnswerSeconds = before.FirstAnswerSeconds // of the first start, whatever came since
	} else {
		wanted = ws.CreationTimestamp.Time // the first pod waits from the Workspace's beginning
		status.FirstAnswerSeconds = between(&wanted, ready)
	}
	scheduled, began := podSince(pod, corev1.PodScheduled), containerSince(pod)
	status.NodeSeconds = between(&wanted, scheduled)
	status.LoadSeconds = between(began, ready)
	if pulls := between(scheduled, began); pulls != nil {
		status.ImageSeconds = seconds(float64(*pulls) - installing(pod).Seconds())
	}
	return status
}

// podSince is when a condition of a pod became True, or nil where it is not.
func podSince(pod *corev1.Pod, kind corev1.PodConditionType) *time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return &c.LastTransitionTime.Time
		}
	}
	return nil
}

// containerSince is when the container that serves began, or nil.
func containerSince(pod *corev1.Pod) *time.Time {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == render.EngineContainer && s.State.Running != nil {
			return &s.State.Running.StartedAt.Time
		}
	}
	return nil
}

// installing is how long the init containers ran: no pull goes on meanwhile.
func installing(pod *corev1.Pod) time.Duration {
	var sum time.Duration
	for _, s := range pod.Status.InitContainerStatuses {
		if s.State.Terminated != nil {
			sum += s.State.Terminated.FinishedAt.Sub(s.State.Terminated.StartedAt.Time)
		}
	}
	return sum
}

// between is nil where either end is not known. Clocks of two machines may differ: never below zero.
func between(from, to *time.Time) *int32 {
	if from == nil || to == nil || from.IsZero() || to.IsZero() {
		return nil
	}
	return seconds(to.Sub(*from).Seconds())
}

func seconds(s float64) *int32 {
	return new(int32(min(max(math.Round(s), 0), math.MaxInt32)))
}

// askStartup has a runner asked once its pod is ready. A template of the user's own has no runner.
func (r *Reconciler) askStartup(o observed, d decision) {
	pod := leader(o.pods)
	if pod == nil || pod.Status.PodIP == "" || d.serving == nil || d.serving.Template != nil ||
		d.inference.Status != metav1.ConditionTrue {
		return
	}
	r.startups.Ask(client.ObjectKeyFromObject(o.ws), pod.UID, pod.Status.PodIP)
}
