package workspace

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/llamacpp"
	"kaito.sh/kaito/internal/engine/vllm"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/render/podtemplate"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

// longestAdapterName leaves room for what is put behind it in the names of files.
const longestAdapterName = 200

// readAdapters reads inference.adapters, of which the API server has seen the forms only.
func readAdapters(p Planner, t *thought) bool {
	if t.ws.Inference == nil || len(t.ws.Inference.Adapters) == 0 {
		return false
	}
	refuse := func(format string, args ...any) bool {
		t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidAdapter, format, args...), true
		return true
	}
	if t.template != nil {
		return refuse("inference.adapters goes with inference.preset: the containers of inference.template load what you tell them to; leave one of the two out")
	}
	for i, spec := range t.ws.Inference.Adapters {
		place := fmt.Sprintf("inference.adapters[%d].source", i)
		a, why := p.adapter(t, spec)
		if why != "" {
			return refuse("%s%s", place, why)
		}
		t.adapters = append(t.adapters, a)
	}
	return false
}

// adapter is one of inference.adapters, or says after its place what is wrong with it.
func (p Planner) adapter(t *thought, spec v1beta1.AdapterSpec) (a render.Adapter, why string) {
	source := spec.Source
	if source == nil {
		return a, " is missing: say where the adapter comes from"
	}
	switch {
	case source.Name == engine.ServedID(t.model) || slices.Contains(engine.ServedAliases(t.model), source.Name):
		return a, fmt.Sprintf(".name %q is a name of the model itself: give the adapter another one", source.Name)
	case len(source.Name) > longestAdapterName:
		return a, fmt.Sprintf(".name has %d characters: at most %d can be used", len(source.Name), longestAdapterName)
	}
	a = render.Adapter{
		Name: source.Name, Image: source.Image, Secrets: source.ImagePullSecrets,
		PlainHTTP: p.Sources.PlainHTTP && source.Image != "", Strength: ptr.Deref(spec.Strength, ""),
	}
	if source.Image != "" {
		if _, err := name.ParseReference(source.Image); err != nil {
			return a, fmt.Sprintf(".image %q is no image: write REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST", source.Image)
		}
		return a, ""
	}
	if source.VolumeSource == nil {
		return a, " has neither image nor volumeSource: name one of them"
	}
	volume, err := podtemplate.Volume(source.VolumeSource.Raw)
	if err != nil {
		return a, ".volumeSource cannot be used: " + err.Error()
	}
	a.Volume = volume
	return a, ""
}

// wishes are those of the user's settings, with the adapters that are to be served.
func (t *thought) wishes() model.Wishes {
	if len(t.adapters) == 0 {
		return t.settings.Wishes
	}
	var ranks []int
	for _, a := range t.adapters {
		ranks = append(ranks, a.Rank)
	}
	all := model.Wishes{}
	for _, engine := range []string{vllm.Name, llamacpp.Name} {
		wish := t.settings.Wishes[engine]
		wish.Adapters.Ranks = ranks
		all[engine] = wish
	}
	return all
}

// refuseUnserved refuses adapters that the engine of the plan cannot load.
func (t *thought) refuseUnserved(plan model.Plan) bool {
	if len(t.adapters) == 0 || plan.Engine != llamacpp.Name || llamacpp.TakesAdapters(t.model) {
		return false
	}
	t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidAdapter,
		"Adapter %q cannot be served on these nodes: llama.cpp, which serves model %q on a CPU, takes adapters of %s only, and this is a %s: let the label selector choose nodes with GPUs, where vLLM serves it",
		t.adapters[0].Name, t.model.ID, strings.Join(llamacpp.AdapterArchitectures(), ", "), strings.Join(t.model.Architectures, ", ")), true
	return true
}

// engineAdapters are the adapters as the engine of a plan is told of them.
func engineAdapters(engineName string, all []render.Adapter) []engine.Adapter {
	var out []engine.Adapter
	for _, a := range all {
		at := contract.AdapterPEFT(a.Name)
		if engineName == llamacpp.Name {
			at = contract.AdapterGGUF(a.Name)
		}
		out = append(out, engine.Adapter{Name: a.Name, Path: at})
	}
	return out
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
