package workspace

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/render/podtemplate"
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
	all, no := sizing.Adapters(t.ws, t.model, p.Sources.PlainHTTP)
	if t.object(no) {
		return true
	}
	for i, a := range all {
		source := t.ws.Inference.Adapters[i].Source
		one := render.Adapter{Adapter: a}
		if a.Image == "" {
			var err error
			if one.Volume, err = volume(source.VolumeSource); err != nil {
				t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidAdapter, "inference.adapters[%d].source.volumeSource cannot be used: %v", i, err), true
				return true
			}
		}
		t.adapters = append(t.adapters, one)
	}
	return false
}

// volume is a user's volume as it is applied, or nil where none is named.
func volume(raw *runtime.RawExtension) (*corev1ac.VolumeSourceApplyConfiguration, error) {
	if raw == nil {
		return nil, nil //nolint:nilnil // none was named
	}
	return podtemplate.Volume(raw.Raw)
}

// loras are the adapters as planners and engines see them, without what a pod mounts.
func (t *thought) loras() []model.Adapter {
	var all []model.Adapter
	for _, a := range t.adapters {
		all = append(all, a.Adapter)
	}
	return all
}

// reading is what was read of the Workspace, as kaito plan has it.
func (t *thought) reading() sizing.Reading {
	return sizing.Reading{Model: t.model, Settings: t.settings, Adapters: t.loras()}
}

// wishes are those of the user's settings, with the adapters that are to be served.
func (t *thought) wishes() model.Wishes {
	return sizing.WithPartition(t.ws.Resource.Partition, sizing.WithAdapters(t.settings.Wishes, t.loras()))
}

// refuseUnserved refuses adapters that the engine of the plan cannot load.
func (t *thought) refuseUnserved(plan model.Plan) bool {
	return t.object(sizing.UnservedAdapters(t.model, plan, t.loras()))
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
