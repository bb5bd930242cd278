package render

import (
	"encoding/json"
	"slices"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

// fromTemplate is the user's own pod template with what makes its pods ours: the
// labels by which they are found, and the nodes on which they may run. Containers,
// probes, security context and all else stay as they are written.
func fromTemplate(s Serving) *corev1ac.PodTemplateSpecApplyConfiguration {
	pod := copyOf(s.Template)
	pod.WithLabels(servers(s.Workspace))
	pod.Spec.Affinity = alsoOn(pod.Spec.Affinity, nodes(s.Workspace, s.Plan.Kind()))
	for _, t := range tolerations(s.Workspace, "") {
		if !slices.ContainsFunc(pod.Spec.Tolerations, func(have corev1ac.TolerationApplyConfiguration) bool { return hash(have) == hash(t) }) {
			pod.Spec.WithTolerations(t)
		}
	}
	return pod
}

// alsoOn adds the required nodes to an affinity: terms are alternatives, so each of them gets ours besides.
func alsoOn(have, required *corev1ac.AffinityApplyConfiguration) *corev1ac.AffinityApplyConfiguration {
	if have == nil {
		return required
	}
	if have.NodeAffinity == nil {
		return have.WithNodeAffinity(required.NodeAffinity)
	}
	ours := required.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	theirs := have.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if theirs == nil || len(theirs.NodeSelectorTerms) == 0 {
		have.NodeAffinity.WithRequiredDuringSchedulingIgnoredDuringExecution(ours)
		return have
	}
	for i := range theirs.NodeSelectorTerms {
		term := &theirs.NodeSelectorTerms[i]
		term.MatchExpressions = append(term.MatchExpressions, ours.NodeSelectorTerms[0].MatchExpressions...)
	}
	return have
}

// copyOf leaves what was handed in as it was.
func copyOf(template *corev1ac.PodTemplateSpecApplyConfiguration) *corev1ac.PodTemplateSpecApplyConfiguration {
	data, err := json.Marshal(template)
	if err != nil {
		panic("apply configurations are plain data: " + err.Error())
	}
	var fresh corev1ac.PodTemplateSpecApplyConfiguration
	if err := json.Unmarshal(data, &fresh); err != nil {
		panic("what was written can be read: " + err.Error())
	}
	if fresh.Spec == nil {
		fresh.Spec = corev1ac.PodSpec()
	}
	return &fresh
}
