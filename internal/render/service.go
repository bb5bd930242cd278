package render

import (
	"maps"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/runner/contract"
)

// Ports of the Service.
const (
	httpPort       = 80
	rendezvousPort = 29500
)

// Service is where a Workspace answers: ready pods only.
func Service(s Serving) *corev1ac.ServiceApplyConfiguration {
	spec := corev1ac.ServiceSpec().
		WithType(corev1.ServiceTypeClusterIP).
		WithSelector(answering(s)).
		WithPorts(port("http", httpPort, contract.Port))
	if BehindLoadBalancer(s.Workspace) {
		// What faces the world has the one port that is meant for it.
		spec.WithType(corev1.ServiceTypeLoadBalancer)
	} else {
		// Pods of several nodes meet here; nothing listens on a single one.
		spec.WithPorts(port("rendezvous", rendezvousPort, rendezvousPort))
	}
	return corev1ac.Service(s.Workspace.Name, s.Workspace.Namespace).
		WithLabels(labels(s.Workspace)).
		WithOwnerReferences(owner(s.Workspace)).
		WithSpec(spec)
}

// HeadlessName is the name of the Service by which the pods of several nodes find each other.
func HeadlessName(ws *v1beta1.Workspace) string {
	return ws.Name + "-headless"
}

// Headless gives each pod of several nodes a name, before it is ready: they meet
// in order to become ready. For a single one it is nil.
func Headless(s Serving) *corev1ac.ServiceApplyConfiguration {
	if s.Plan.Nodes <= 1 {
		return nil
	}
	return corev1ac.Service(HeadlessName(s.Workspace), s.Workspace.Namespace).
		WithLabels(labels(s.Workspace)).
		WithOwnerReferences(owner(s.Workspace)).
		WithSpec(corev1ac.ServiceSpec().
			WithClusterIP(corev1.ClusterIPNone).
			WithPublishNotReadyAddresses(true).
			WithSelector(servers(s.Workspace)).
			WithPorts(port("rendezvous", rendezvousPort, rendezvousPort)))
}

// BehindLoadBalancer says whether the user asks for a load balancer.
func BehindLoadBalancer(ws *v1beta1.Workspace) bool {
	return strings.EqualFold(ws.Annotations[v1beta1.AnnotationEnableLB], "true")
}

// answering selects the pods that requests may go to: of one model on several nodes
// the first alone; pods of a template are each on their own.
func answering(s Serving) map[string]string {
	selected := maps.Clone(servers(s.Workspace))
	if s.Template == nil && s.Plan.Nodes > 1 {
		selected[appsv1.PodIndexLabel] = "0"
	}
	return selected
}

func port(name string, number, target int32) *corev1ac.ServicePortApplyConfiguration {
	return corev1ac.ServicePort().
		WithName(name).
		WithProtocol(corev1.ProtocolTCP).
		WithPort(number).
		WithTargetPort(intstr.FromInt32(target))
}
