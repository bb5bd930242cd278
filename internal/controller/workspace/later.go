package workspace

import (
	"fmt"
	"slices"
	"strings"

	"kaito.sh/kaito/api/v1beta1"
)

// refuseWhatComesLater is honest about fields that this version does not act on.
func refuseWhatComesLater(_ Planner, t *thought) bool {
	ws := t.ws
	var fields []string
	for field, set := range map[string]bool{
		"resource.instanceType": ws.Resource.InstanceType != "",
		"resource.partition":    ws.Resource.Partition != nil,
	} {
		if set {
			fields = append(fields, field)
		}
	}
	if len(fields) == 0 {
		return false
	}
	slices.Sort(fields)
	t.accepted, t.final = v1beta1.NotYetSupported(fields), true
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
