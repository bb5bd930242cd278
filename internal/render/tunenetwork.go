package render

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/runner/contract"
)

// operatorName is the label by which the pods of the operator are known, as its chart sets it.
const operatorName = "kaito-operator"

// TuneNetworkPolicyName is the name of the policy for the pods that check and train.
func TuneNetworkPolicyName(ws *v1beta1.Workspace) string { return TuneConfigName(ws) }

// TuneNetworkPolicy lets nobody but the operator ask pods that check and train how far
// they are. They fetch data and push an adapter: a policy knows neither names of hosts
// nor the ports behind a redirect, so their way out is left as it is.
func TuneNetworkPolicy(t Tuning) *networkingv1ac.NetworkPolicyApplyConfiguration {
	namespace := metav1ac.LabelSelector()
	if t.OperatorNamespace != "" {
		namespace.WithMatchLabels(map[string]string{corev1.LabelMetadataName: t.OperatorNamespace})
	}
	operator := networkingv1ac.NetworkPolicyPeer().
		WithNamespaceSelector(namespace).
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{"app.kubernetes.io/name": operatorName}))
	return networkingv1ac.NetworkPolicy(TuneNetworkPolicyName(t.Workspace), t.Workspace.Namespace).
		WithLabels(labels(t.Workspace)).
		WithOwnerReferences(owner(t.Workspace)).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(metav1ac.LabelSelector().
				WithMatchLabels(selector(t.Workspace)).
				WithMatchExpressions(metav1ac.LabelSelectorRequirement().
					WithKey(v1beta1.LabelRole).WithOperator(metav1.LabelSelectorOpIn).WithValues(v1beta1.RoleCheck, v1beta1.RoleTune))).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(networkingv1ac.NetworkPolicyIngressRule().
				WithFrom(operator).
				WithPorts(networkPort(contract.Port, corev1.ProtocolTCP))))
}
