package workspace

import (
	"fmt"
	"path"
	"slices"
	"unicode/utf8"

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

// revision is the revision or image that weights come from, as far as it is known before they are fetched.
func revision(w render.Weights) string {
	switch {
	case w.Fetch == nil:
		return w.Image
	case w.Fetch.Hub != nil:
		return w.Fetch.Hub.Revision
	}
	return w.Fetch.Image.Reference
}

// planStatus shows a plan as kaito plan does; a template of the user's own has none. The
// memory is that of what is scarce: of the GPUs where the plan has any, else of the pod.
func planStatus(s *render.Serving, figures sizing.Figures) *v1beta1.PlanStatus {
	if s.Template != nil {
		return nil
	}
	p, memory, gpus := s.Plan, s.Plan.Memory, int32(s.Plan.GPUs())
	status := &v1beta1.PlanStatus{
		Model: p.Model, ModelRevision: cut(revision(s.Weights), mostRevision), Engine: p.Engine,
		Nodes:       int32(p.Nodes),
		GPUs:        &gpus,
		CPU:         resource.NewMilliQuantity(int64(p.CPU), resource.DecimalSI),
		Context:     int32(p.Context),
		Concurrency: int32(p.Slots),
		CacheTokens: int64(figures.Tokens), CacheRequests: int32(figures.Requests),
		Limit: string(figures.Limit), Confidence: string(p.Confidence), Assumed: assumed(p.Assumed),
		Note: cut(p.Note, mostNote),
	}
	if p.GPU != nil {
		memory, status.GPU = p.GPU.Memory, p.GPU.Product
		status.Parallelism = &v1beta1.ParallelismStatus{Tensor: int32(p.GPU.Tensor), Pipeline: int32(p.GPU.Stages), Data: int32(p.GPU.Copies)}
	}
	status.Headroom = amount(figures.Headroom)
	status.Memory = &v1beta1.MemoryStatus{
		Weights: amount(memory.Weights), KVCache: amount(memory.KVCache), Overhead: amount(memory.Overhead + memory.Shared), Total: amount(memory.Total()),
	}
	if memory.Adapters > 0 {
		status.Memory.Adapters = amount(memory.Adapters)
	}
	if memory.PromptCache > 0 {
		status.Memory.PromptCache = amount(memory.PromptCache)
	}
	return status
}

// amount is memory in whole MiB, for readers.
func amount(b model.Bytes) *resource.Quantity {
	return resource.NewQuantity(int64(b.CeilTo(model.MiB)), resource.BinarySI)
}

// What the API server takes of texts and lists.
const (
	mostNote = 1024
	// mostRevision is for a commit, or the reference of an image.
	mostRevision = 253
	mostAssumed  = 16
	mostOne      = 256
)

// assumed are the first of what was bounded from above.
func assumed(all []string) []string {
	var some []string
	for _, one := range all[:min(len(all), mostAssumed)] {
		some = append(some, cut(one, mostOne))
	}
	return some
}

// cut leaves off the end of a text that has more bytes than fit, between two characters.
func cut(text string, most int) string {
	const dots = "..."
	if len(text) <= most {
		return text
	}
	end := most - len(dots)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + dots
}

// figures are those of a plan that some of the nodes can take; the headroom is that of the
// smallest of them.
func (t *thought) figures(plan model.Plan, names []string) sizing.Figures {
	var least model.Bytes
	for _, n := range t.fit {
		if slices.Contains(names, n.Name) && (least == 0 || n.Memory < least) {
			least = n.Memory
		}
	}
	return sizing.FiguresOf(t.model, t.wishes(), plan, least)
}
