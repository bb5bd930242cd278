package workspace

import (
	"fmt"
	"strings"

	"kaito.sh/kaito/api/v1beta1"
)

// refuseWhatComesLater is honest about a field that this version does not act on.
func refuseWhatComesLater(_ Planner, t *thought) bool {
	if t.ws.Resource.Partition == nil {
		return false
	}
	t.accepted, t.final = v1beta1.NotYetSupported([]string{"resource.partition"}), true
	return true
}

// notes are what the user should know of fields that change nothing, or not what
// they may expect: the Workspace runs, and its condition Accepted says so.
func notes(ws *v1beta1.Workspace) []string {
	var fields, all []string
	if ws.Inference.Preset != nil && ws.Resource.Count != nil && *ws.Resource.Count > 1 {
		fields = append(fields, "resource.count")
	}
	if len(fields) > 0 {
		all = append(all, "this version does not use "+strings.Join(fields, ", "))
	}
	if ws.Inference.Template != nil && ws.Inference.Config != "" {
		all = append(all, "inference.config is read only with a preset")
	}
	switch value := ws.Annotations[v1beta1.AnnotationEnableLB]; strings.ToLower(value) {
	case "", "true", "false":
	default:
		all = append(all, fmt.Sprintf("annotation %s is %q and changes nothing: say \"True\" for a load balancer", v1beta1.AnnotationEnableLB, value))
	}
	return all
}
