package render

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/nodelabel"
)

// nodes requires a node that the selector selects, labels and expressions alike, and
// that has GPUs of the kind of the plan; the zero kind is any node. Of nodes that are made
// on demand these are the Workspace's own and nobody else's: who pays for a node has it.
func nodes(ws *v1beta1.Workspace, kind model.Label) *corev1ac.AffinityApplyConfiguration {
	selector, term := ws.Resource.LabelSelector, corev1ac.NodeSelectorTerm()
	for _, key := range slices.Sorted(maps.Keys(selector.MatchLabels)) {
		term.WithMatchExpressions(corev1ac.NodeSelectorRequirement().
			WithKey(key).WithOperator(corev1.NodeSelectorOpIn).WithValues(selector.MatchLabels[key]))
	}
	for _, e := range selector.MatchExpressions {
		// The four operators of a label selector are called the same for nodes.
		term.WithMatchExpressions(corev1ac.NodeSelectorRequirement().
			WithKey(e.Key).WithOperator(corev1.NodeSelectorOperator(e.Operator)).WithValues(e.Values...))
	}
	if kind.Key != "" {
		// The plan is made for GPUs of one kind; the selector may select others besides.
		term.WithMatchExpressions(corev1ac.NodeSelectorRequirement().
			WithKey(kind.Key).WithOperator(corev1.NodeSelectorOpIn).WithValues(kind.Value))
	}
	if ws.Resource.InstanceType == "" {
		term.WithMatchExpressions(corev1ac.NodeSelectorRequirement().
			WithKey(nodelabel.NodePool).WithOperator(corev1.NodeSelectorOpNotIn).WithValues(nodelabel.PoolName))
	} else {
		for _, key := range slices.Sorted(maps.Keys(nodelabel.Owned(ws))) {
			term.WithMatchExpressions(corev1ac.NodeSelectorRequirement().
				WithKey(key).WithOperator(corev1.NodeSelectorOpIn).WithValues(nodelabel.Owned(ws)[key]))
		}
	}
	return corev1ac.Affinity().WithNodeAffinity(corev1ac.NodeAffinity().
		WithRequiredDuringSchedulingIgnoredDuringExecution(corev1ac.NodeSelector().WithNodeSelectorTerms(term)))
}

// apart puts each pod of several onto a node of its own, as they are planned.
func apart(s Serving, on *corev1ac.AffinityApplyConfiguration) *corev1ac.AffinityApplyConfiguration {
	if s.Plan.Nodes <= 1 {
		return on
	}
	return on.WithPodAntiAffinity(corev1ac.PodAntiAffinity().WithRequiredDuringSchedulingIgnoredDuringExecution(
		corev1ac.PodAffinityTerm().WithTopologyKey(corev1.LabelHostname).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(servers(s.Workspace))),
	))
}

// tolerations lets pods onto nodes that are kept for GPU work: the user has selected them.
// Nodes are marked by what their device plugin offers, which a plan names. Nodes that are made
// may be bought as spot, which AKS marks with a taint.
func tolerations(ws *v1beta1.Workspace, planned string) []*corev1ac.TolerationApplyConfiguration {
	all := []*corev1ac.TolerationApplyConfiguration{
		corev1ac.Toleration().WithKey(model.ResourceNVIDIA).WithOperator(corev1.TolerationOpExists).WithEffect(corev1.TaintEffectNoSchedule),
		corev1ac.Toleration().WithKey("sku").WithOperator(corev1.TolerationOpEqual).WithValue("gpu").WithEffect(corev1.TaintEffectNoSchedule),
	}
	if named := model.ResourceOf(planned); named != model.ResourceNVIDIA {
		all = append(all, corev1ac.Toleration().WithKey(named).WithOperator(corev1.TolerationOpExists).WithEffect(corev1.TaintEffectNoSchedule))
	}
	if ws.Resource.InstanceType != "" {
		all = append(all, corev1ac.Toleration().
			WithKey("kubernetes.azure.com/scalesetpriority").WithOperator(corev1.TolerationOpEqual).WithValue("spot").WithEffect(corev1.TaintEffectNoSchedule))
	}
	return all
}
