package workspace

import (
	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/sizing"
)

// readSettings reads the ConfigMap that the Workspace names, and what annotations ask for.
func readSettings(_ Planner, t *thought) bool {
	if t.template != nil {
		return false
	}
	settings, notes, no := sizing.Settings(t.ws, t.config, t.model)
	if t.object(no) {
		return true
	}
	t.settings, t.notes = settings, append(t.notes, notes...)
	t.accepted = v1beta1.Accepted(t.model.ID, t.notes...)
	return false
}

// noteSettings says of settings for an engine that they are for another one than that of the plan.
func noteSettings(_ Planner, t *thought) bool {
	if t.template != nil {
		return false
	}
	if note := sizing.OtherEngine(t.settings, t.serving.Plan.Engine); note != "" {
		t.notes = append(t.notes, note)
		t.accepted = v1beta1.Accepted(t.model.ID, t.notes...)
	}
	return false
}
