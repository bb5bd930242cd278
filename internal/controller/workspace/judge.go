package workspace

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
)

// judge says whether the newest server answers and, where it does not, why.
func judge(t *thought) metav1.Condition {
	if current(t) && t.server.Status.ReadyReplicas >= int32(t.serving.Plan.Nodes) {
		return v1beta1.InferenceReady(t.ws.Name)
	}
	if cause, ok := trouble(t); ok {
		return cause
	}
	if len(t.pods) == 0 {
		return v1beta1.InferenceNotReady(v1beta1.ReasonInferencePending,
			"The server's pod is being created; if it does not come, `kubectl describe statefulset %s` says why", t.ws.Name)
	}
	return v1beta1.InferenceNotReady(v1beta1.ReasonInferencePending, "The server is being started: %s", progress(t))
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

// progress says which step of a start the pods are at: that of the pod which is furthest behind.
func progress(t *thought) string {
	step := "the engine loads the model"
	switch {
	case t.serving.Plan.Nodes > 1 && t.serving.Template == nil:
		step = "each pod brings its weights, and once all have them the engines load the model together"
	case t.serving.Template != nil:
		step = "its containers run and are not ready yet"
	case t.serving.Weights.Fetch != nil:
		step = "the runner fetches the weights, then the engine loads the model"
	}
	for _, p := range sorted(t.pods) {
		switch {
		case p.Spec.NodeName == "":
			return "the pod waits for a node"
		case unprepared(&p):
			step = "node " + p.Spec.NodeName + " prepares volumes and network; if that lasts, `kubectl describe pod " + p.Name + "` says why"
		case brings(&p):
			step = "adapters are being brought to node " + p.Spec.NodeName
		case p.Status.Phase == corev1.PodPending:
			step = "images and weights are being pulled to node " + p.Spec.NodeName
			if t.serving.Weights.Image == "" {
				step = "images are being pulled to node " + p.Spec.NodeName
			}
		}
	}
	return step
}

// brings is true while the pod's adapters are on their way.
func brings(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.InitContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.Name == render.AdaptersContainer && s.State.Running != nil
	})
}

// unprepared is true while a node has no sandbox for the pod: a volume that cannot be
// mounted holds it there, and only an event says so.
func unprepared(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionFalse
	})
}

// sorted puts pods in the order of their names.
func sorted(pods []corev1.Pod) []corev1.Pod {
	all := slices.Clone(pods)
	slices.SortFunc(all, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return all
}
