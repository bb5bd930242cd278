package sizing

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/near"
)

// longestAnnotation is longer than any name that is looked for.
const longestAnnotation = 63

// Notes are what the user should know of fields that change nothing, or not what
// they may expect: the Workspace runs, and its condition Accepted says so.
func Notes(ws *v1beta1.Workspace) []string {
	var all []string
	if count := ptr.Deref(ws.Resource.Count, 1); ws.Inference.Preset != nil && count > 1 {
		if ws.Resource.InstanceType == "" {
			all = append(all, "resource.count changes nothing, because the plan says on how many of your own nodes the model runs")
		} else {
			all = append(all, fmt.Sprintf("resource.count asks for %d nodes at the least: those that the plan does not need stay empty", count))
		}
	}
	if ws.Inference.Template != nil && ws.Inference.Config != "" {
		all = append(all, "inference.config is read only with a preset")
	}
	if ws.Inference.Template != nil && ws.Resource.Partition != nil {
		all = append(all, "resource.partition is read only with a preset: the template's own containers ask for their GPUs")
	}
	for _, annotation := range []string{v1beta1.AnnotationContext, v1beta1.AnnotationConcurrency} {
		if _, set := ws.Annotations[annotation]; set && ws.Inference.Template != nil {
			all = append(all, "annotation "+annotation+" is read only with a preset")
		}
	}
	switch value := ws.Annotations[v1beta1.AnnotationEnableLB]; strings.ToLower(value) {
	case "", "true", "false":
	default:
		all = append(all, fmt.Sprintf("annotation %s is %q and changes nothing: say \"True\" for a load balancer", v1beta1.AnnotationEnableLB, value))
	}
	return append(all, misspelt(ws)...)
}

// misspelt are annotations that are nearly one that means something, sorted.
func misspelt(ws *v1beta1.Workspace) []string {
	known := []string{
		v1beta1.AnnotationEnableLB, v1beta1.AnnotationRetry, v1beta1.AnnotationTrustRemoteCode, v1beta1.AnnotationAllowPickle, v1beta1.AnnotationCapacityType,
		v1beta1.AnnotationImageFamily, v1beta1.AnnotationContext, v1beta1.AnnotationConcurrency, v1beta1.AnnotationServeTuned,
	}
	var all []string
	for _, annotation := range slices.Sorted(maps.Keys(ws.Annotations)) {
		name, ours := strings.CutPrefix(annotation, v1beta1.Group+"/")
		if !ours || len(name) > longestAnnotation || slices.Contains(known, annotation) {
			continue
		}
		var names []string
		for _, k := range known {
			names = append(names, strings.TrimPrefix(k, v1beta1.Group+"/"))
		}
		if meant := near.Names(name, names); len(meant) > 0 {
			all = append(all, fmt.Sprintf("annotation %s changes nothing: did you mean %s/%s?", annotation, v1beta1.Group, meant[0]))
		}
	}
	return all
}
