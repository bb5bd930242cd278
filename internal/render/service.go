package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"kaito.sh/kaito/internal/runner/contract"
)

// Ports of the Service.
const (
	httpPort       = 80
	rendezvousPort = 29500
)

// Service is where a Workspace answers: ready pods only.
func Service(s Serving) *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service(s.Workspace.Name, s.Workspace.Namespace).
		WithLabels(labels(s.Workspace)).
		WithOwnerReferences(owner(s.Workspace)).
		WithSpec(corev1ac.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			WithSelector(servers(s.Workspace)).
			WithPorts(
				port("http", httpPort, contract.Port),
				// Pods of several nodes meet here; nothing listens on a single one.
				port("rendezvous", rendezvousPort, rendezvousPort),
			))
}

func port(name string, number, target int) *corev1ac.ServicePortApplyConfiguration {
	return corev1ac.ServicePort().
		WithName(name).
		WithProtocol(corev1.ProtocolTCP).
		WithPort(int32(number)).
		WithTargetPort(intstr.FromInt32(int32(target)))
}
