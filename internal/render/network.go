package render

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"kaito.sh/kaito/internal/runner/contract"
)

// dnsPort is where names are asked for.
const dnsPort = 53

// NetworkPolicy lets everybody ask the model, and lets the pods of a Workspace talk
// to each other and, where they fetch weights or adapters, to the world. What a template's
// containers call is not known, so their way out is left as it is.
func NetworkPolicy(s Serving) *networkingv1ac.NetworkPolicyApplyConfiguration {
	spec := networkingv1ac.NetworkPolicySpec().
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(servers(s.Workspace))).
		WithPolicyTypes(networkingv1.PolicyTypeIngress).
		WithIngress(
			networkingv1ac.NetworkPolicyIngressRule().WithPorts(networkPort(contract.Port, corev1.ProtocolTCP)),
			networkingv1ac.NetworkPolicyIngressRule().WithFrom(own(s)).WithPorts(between(s)...),
		)
	if s.Template == nil {
		spec.WithPolicyTypes(networkingv1.PolicyTypeEgress).WithEgress(egress(s)...)
	}
	return networkingv1ac.NetworkPolicy(s.Workspace.Name, s.Workspace.Namespace).
		WithLabels(labels(s.Workspace)).
		WithOwnerReferences(owner(s.Workspace)).
		WithSpec(spec)
}

// egress is nothing for a single pod whose weights the node brings: it only answers.
func egress(s Serving) []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	rule := networkingv1ac.NetworkPolicyEgressRule
	if s.Weights.Fetch != nil || fetchesAdapters(s) {
		// A policy knows neither names of hosts nor the ports behind a Service or a
		// redirect, so what would be named here would be wrong for somebody.
		return []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration{rule()}
	}
	if s.Plan.Nodes > 1 {
		return []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration{
			rule().WithTo(own(s)),
			rule().WithPorts(networkPort(dnsPort, corev1.ProtocolUDP), networkPort(dnsPort, corev1.ProtocolTCP)),
		}
	}
	return nil
}

// between are the ports on which pods of one Workspace talk: all of them where there
// are several nodes, because collective operations take ports as they come.
func between(s Serving) []*networkingv1ac.NetworkPolicyPortApplyConfiguration {
	if s.Plan.Nodes > 1 {
		return nil
	}
	return []*networkingv1ac.NetworkPolicyPortApplyConfiguration{networkPort(rendezvousPort, corev1.ProtocolTCP)}
}

func own(s Serving) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	return networkingv1ac.NetworkPolicyPeer().
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(servers(s.Workspace)))
}

func networkPort(number int32, protocol corev1.Protocol) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithPort(intstr.FromInt32(number)).WithProtocol(protocol)
}
