package sizing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/utils/ptr"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/llamacpp"
	"kaito.sh/kaito/internal/engine/vllm"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/podtemplate"
	"kaito.sh/kaito/internal/runner/contract"
)

// longestAdapterName leaves room for what is put behind it in the names of files.
const longestAdapterName = 200

// Adapters reads inference.adapters, of which the API server has seen the forms only, each
// in its place; volumes are looked at and not kept. Registries are asked without TLS where
// plainHTTP is true.
func Adapters(ws *v1beta1.Workspace, m model.Model, plainHTTP bool) ([]model.Adapter, *Objection) {
	var all []model.Adapter
	for i, spec := range ws.Inference.Adapters {
		a, why := adapter(m, spec, plainHTTP)
		if why != "" {
			return nil, refuse(v1beta1.ReasonInvalidAdapter, "inference.adapters[%d].source%s", i, why)
		}
		all = append(all, a)
	}
	return all, nil
}

// adapter is one of inference.adapters, or says after its place what is wrong with it.
func adapter(m model.Model, spec v1beta1.AdapterSpec, plainHTTP bool) (a model.Adapter, why string) {
	source := spec.Source
	if source == nil {
		return a, " is missing: say where the adapter comes from"
	}
	switch {
	case source.Name == engine.ServedID(m) || slices.Contains(engine.ServedAliases(m), source.Name):
		return a, fmt.Sprintf(".name %q is a name of the model itself: give the adapter another one", source.Name)
	case len(source.Name) > longestAdapterName:
		return a, fmt.Sprintf(".name has %d characters: at most %d can be used", len(source.Name), longestAdapterName)
	}
	a = model.Adapter{
		Name: source.Name, Image: source.Image, Secrets: source.ImagePullSecrets,
		PlainHTTP: plainHTTP && source.Image != "", Strength: ptr.Deref(spec.Strength, ""),
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
	if err := podtemplate.CheckVolume(source.VolumeSource.Raw); err != nil {
		return a, ".volumeSource cannot be used: " + err.Error()
	}
	return a, ""
}

// WithAdapters are wishes with the adapters that are to be served.
func WithAdapters(wishes model.Wishes, adapters []model.Adapter) model.Wishes {
	if len(adapters) == 0 {
		return wishes
	}
	var ranks []int
	for _, a := range adapters {
		ranks = append(ranks, a.Rank)
	}
	all := model.Wishes{}
	for _, engine := range []string{vllm.Name, llamacpp.Name} {
		wish := wishes[engine]
		wish.Adapters.Ranks = ranks
		all[engine] = wish
	}
	return all
}

// UnservedAdapters refuses adapters that the engine of a plan cannot load.
func UnservedAdapters(m model.Model, plan model.Plan, adapters []model.Adapter) *Objection {
	if len(adapters) == 0 || plan.Engine != llamacpp.Name || llamacpp.TakesAdapters(m) {
		return nil
	}
	return refuse(v1beta1.ReasonInvalidAdapter,
		"Adapter %q cannot be served on these nodes: llama.cpp, which serves model %q on a CPU, takes adapters of %s only, and this is a %s: let the label selector choose nodes with GPUs, where vLLM serves it",
		adapters[0].Name, m.ID, strings.Join(llamacpp.AdapterArchitectures(), ", "), strings.Join(m.Architectures, ", "))
}

// Unservable says why nodes could not serve a model with its adapter, or nothing.
func Unservable(m model.Model, wishes model.Wishes, nodes []model.NodeShape) string {
	plan, _, err := estimate.BestAlone(m, wishes, nodes)
	switch {
	case err != nil:
		return err.Error()
	case plan.Engine == llamacpp.Name && !llamacpp.TakesAdapters(m):
		return fmt.Sprintf("llama.cpp, which serves on a CPU, takes adapters of %s only, and this is a %s; use nodes with GPUs",
			strings.Join(llamacpp.AdapterArchitectures(), ", "), strings.Join(m.Architectures, ", "))
	}
	return ""
}

// TrainedNotServed is why a training does not fit whose model could not be served.
func TrainedNotServed(why string) string {
	return "The model can be trained and then not be served: " + why +
		"; or set annotation " + v1beta1.AnnotationServeTuned + " to \"false\" to have the adapter published only"
}

// ServesTuned is false where the user wants the adapter alone.
func ServesTuned(ws *v1beta1.Workspace) bool {
	return ws.Annotations[v1beta1.AnnotationServeTuned] != "false"
}

// Command is how the engine of a plan is started. Its error says which settings do not go
// together with the plan.
func Command(m model.Model, plan model.Plan, settings engine.Settings, adapters []model.Adapter) (engine.Command, error) {
	in := engine.Input{Model: m, Plan: plan, Settings: settings, Weights: contract.ModelDir, Port: contract.EnginePort, Adapters: engineAdapters(plan.Engine, adapters)}
	if plan.Engine == vllm.Name {
		return vllm.Command(in)
	}
	return llamacpp.Command(in)
}

// engineAdapters are the adapters as the engine of a plan is told of them.
func engineAdapters(engineName string, all []model.Adapter) []engine.Adapter {
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
