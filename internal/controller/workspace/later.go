package workspace

import (
	"slices"

	"kaito.sh/kaito/api/v1beta1"
)

// refuseWhatComesLater is honest about fields that this version does not act on.
func refuseWhatComesLater(_ Planner, t *thought) bool {
	ws := t.ws
	var fields []string
	for field, set := range map[string]bool{
		"resource.instanceType": ws.Resource.InstanceType != "",
		"resource.partition":    ws.Resource.Partition != nil,
		"tuning":                ws.Tuning != nil,
		"inference.template":    ws.Inference != nil && ws.Inference.Template != nil,
		"inference.config":      ws.Inference != nil && ws.Inference.Config != "",
		"inference.adapters":    ws.Inference != nil && len(ws.Inference.Adapters) > 0,
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

// unused are the fields that change nothing in this version and would in another:
// the Workspace runs without them, and its condition Accepted says so.
func unused(ws *v1beta1.Workspace) []string {
	var fields []string
	if options := ws.Inference.Preset.PresetOptions; options != nil && options.Image != "" {
		fields = append(fields, "inference.preset.presetOptions.image")
	}
	if ws.Resource.Count != nil && *ws.Resource.Count > 1 {
		fields = append(fields, "resource.count")
	}
	if ws.Annotations[v1beta1.AnnotationEnableLB] != "" {
		fields = append(fields, "annotation "+v1beta1.AnnotationEnableLB)
	}
	return fields
}
