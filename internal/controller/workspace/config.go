package workspace

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine"
)

// readSettings reads the ConfigMap that the Workspace names. A missing one is no
// failure for good: it is watched, and the Workspace goes on by itself when it is there.
func readSettings(_ Planner, t *thought) bool {
	name := t.ws.Inference.Config
	if name == "" || t.template != nil {
		return false
	}
	if t.config == nil {
		t.accepted = v1beta1.ConfigMapNotFound(name, v1beta1.ConfigKeyInference)
		return true
	}
	text, there := t.config.Data[v1beta1.ConfigKeyInference]
	if !there {
		t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidSettings,
			"ConfigMap %q has no key %s: write the settings of the engine there", name, v1beta1.ConfigKeyInference), true
		return true
	}
	settings, err := engine.ParseSettings([]byte(text))
	if err != nil {
		t.accepted, t.final = v1beta1.Refused(v1beta1.ReasonInvalidSettings,
			"ConfigMap %q cannot be used, %s: %v", name, v1beta1.ConfigKeyInference, err), true
		return true
	}
	t.settings = settings
	for _, key := range settings.Ignored {
		t.notes = append(t.notes, "inference.config: no effect has "+key)
	}
	t.accepted = v1beta1.Accepted(t.model.ID, t.notes...)
	return false
}

// noteSettings says of settings for an engine that they are for another one than that of the plan.
func noteSettings(_ Planner, t *thought) bool {
	if t.template != nil || len(t.settings.Arguments) == 0 || len(t.settings.Arguments[t.serving.Plan.Engine]) > 0 {
		return false
	}
	others := strings.Join(slices.Sorted(maps.Keys(t.settings.Arguments)), " and ")
	t.notes = append(t.notes, fmt.Sprintf("inference.config: no effect has the section %s, because %s serves the model on these nodes", others, t.serving.Plan.Engine))
	t.accepted = v1beta1.Accepted(t.model.ID, t.notes...)
	return false
}
