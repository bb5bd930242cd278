package render

import (
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
)

// DisruptionBudget lets a drain take one pod at a time: a single replica must not
// block it.
func DisruptionBudget(s Serving) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return policyv1ac.PodDisruptionBudget(s.Workspace.Name, s.Workspace.Namespace).
		WithLabels(labels(s.Workspace)).
		WithOwnerReferences(owner(s.Workspace)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(servers(s.Workspace))))
}
