package workspace

import (
	"kaito.sh/kaito/internal/sizing"
)

// refuseCode looks at annotations that let code of others run, and refuses a model that needs
// what they do not allow.
func refuseCode(_ Planner, t *thought) bool {
	if t.template != nil {
		return false
	}
	return t.object(sizing.ForeignCode(t.ws, t.model))
}
