package workspace

import (
	"fmt"
	"path"

	"k8s.io/apimachinery/pkg/api/resource"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/sizing"
)

// planNotes are what a plan says that could surprise, and what it still needs.
func planNotes(s render.Serving) []string {
	var notes []string
	if s.Plan.Note != "" {
		notes = append(notes, "the plan: "+s.Plan.Note)
	}
	fromHub := s.Weights.Fetch != nil && s.Weights.Fetch.Hub != nil
	if fromHub && s.Model.Gated && s.Weights.TokenSecret == "" {
		notes = append(notes, fmt.Sprintf("the hub gives %s only to accounts that accepted its licence: name a Secret with the key %s in inference.preset.presetOptions.modelAccessSecret",
			s.Model.HubID, path.Base(contract.HubTokenFile)))
	}
	if image := s.Weights.Ignored; image != "" {
		notes = append(notes, fmt.Sprintf("inference.preset.presetOptions.image %q is ignored, because it holds no model", image))
	}
	if !fromHub && sizing.Options(s.Workspace).ModelAccessSecret != "" {
		notes = append(notes, "inference.preset.presetOptions.modelAccessSecret is not needed, because the weights come from an image")
	}
	return notes
}

// planStatus shows a plan; a template of the user's own has none. The memory is that
// of what is scarce: of the GPUs where the plan has any, else of the pod.
func planStatus(s *render.Serving) *v1beta1.PlanStatus {
	if s.Template != nil {
		return nil
	}
	p, memory, gpus := s.Plan, s.Plan.Memory, int32(s.Plan.GPUs())
	status := &v1beta1.PlanStatus{
		Model: p.Model, Engine: p.Engine,
		Nodes:       int32(p.Nodes),
		GPUs:        &gpus,
		CPU:         resource.NewMilliQuantity(int64(p.CPU), resource.DecimalSI),
		Context:     int32(p.Context),
		Concurrency: int32(p.Slots),
		Note:        p.Note,
	}
	if p.GPU != nil {
		memory = p.GPU.Memory
		status.Parallelism = &v1beta1.ParallelismStatus{Tensor: gpus, Pipeline: 1, Data: 1}
	}
	amount := func(b model.Bytes) *resource.Quantity {
		return resource.NewQuantity(int64(b.CeilTo(model.MiB)), resource.BinarySI)
	}
	status.Memory = &v1beta1.MemoryStatus{
		Weights: amount(memory.Weights), KVCache: amount(memory.KVCache),
		Overhead: amount(memory.Overhead + memory.PromptCache + memory.Adapters + memory.Shared), Total: amount(memory.Total()),
	}
	return status
}
