package workspace

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/sizing"
)

// readAdapters reads inference.adapters.
func readAdapters(p Planner, t *thought) bool {
	if t.ws.Inference == nil || len(t.ws.Inference.Adapters) == 0 {
		return false
	}
	if t.template != nil {
		t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidAdapter,
			"inference.adapters goes with inference.preset: the containers of inference.template load what you tell them to; leave one of the two out"), true
		return true
	}
	var no *sizing.Objection
	t.adapters, no = sizing.Adapters(t.ws, t.model, p.Sources.PlainHTTP)
	return t.object(no)
}

// wishes are those of the user's settings, with the adapters that are to be served.
func (t *thought) wishes() model.Wishes {
	return sizing.WithPartition(t.ws.Resource.Partition, sizing.WithAdapters(t.settings.Wishes, t.adapters))
}

// refuseUnserved refuses adapters that the engine of the plan cannot load.
func (t *thought) refuseUnserved(plan model.Plan) bool {
	return t.object(sizing.UnservedAdapters(t.model, plan, t.adapters))
}

// adapterNotes say what is reserved for adapters of which nobody knows the rank yet.
func adapterNotes(s render.Serving) []string {
	if !slices.ContainsFunc(s.Adapters, func(a render.Adapter) bool { return a.Rank == 0 }) {
		return nil
	}
	return []string{fmt.Sprintf("adapters of ranks up to %d are planned for", s.Plan.Adapters.MaxRank)}
}

// withoutAdapters is why a pod does not get its adapters.
func withoutAdapters(p *corev1.Pod, why ending.Ending) (metav1.Condition, bool) {
	switch why.Reason {
	case ending.AdapterUnusable:
		return v1beta1.InferenceNotReady(v1beta1.ReasonAdapterUnusable, "Pod %q cannot use an adapter: %s", p.Name, why.Message), true
	case ending.AdapterUnreachable:
		return v1beta1.InferenceNotReady(v1beta1.ReasonAdapterUnreachable,
			"Pod %q does not get an adapter, and tries again by itself: %s; see that pods of this namespace reach the registry", p.Name, why.Message), true
	case ending.DiskFull:
		return v1beta1.InferenceNotReady(v1beta1.ReasonDiskFull, "Pod %q has no room for the adapters: %s; free some of the disk of node %q, or use another node",
			p.Name, why.Message, p.Spec.NodeName), true
	default:
		return metav1.Condition{}, false
	}
}
