package workspace

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/kube"
)

// Cache says what of the cluster is kept in memory, so that the operator does not
// grow with everything else in it: of most kinds only what carries our label, and of
// nodes, pods and ConfigMaps only the fields that a decision reads. Whoever needs
// another field of those lets it through here first.
func Cache() (map[client.Object]cache.ByObject, error) {
	labelled, err := labels.NewRequirement(v1beta1.LabelWorkspace, selection.Exists, nil)
	if err != nil {
		return nil, fmt.Errorf("select our objects: %w", err)
	}
	ours := labels.NewSelector().Add(*labelled)
	byObject := map[client.Object]cache.ByObject{
		&corev1.Node{}: {Transform: shrinkNode},
		&corev1.Pod{}:  {Label: ours, Transform: shrinkPod},
	}
	sharing := kube.NewSharing()
	for _, kind := range Kinds() {
		switch kind.(type) {
		case *corev1.ConfigMap: // users' too: a Workspace may name one, and nothing marks it
			byObject[kind] = cache.ByObject{Transform: shrinkConfigMap}
		default:
			byObject[kind] = cache.ByObject{Label: ours, Transform: sharing.Shrink}
		}
	}
	return byObject, nil
}

// shrinkNode keeps labels, taints and what pods may use.
func shrinkNode(object any) (any, error) {
	n, ok := object.(*corev1.Node)
	if !ok {
		return object, nil // the mark of a deletion that was missed
	}
	var ready []corev1.NodeCondition
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			ready = append(ready, corev1.NodeCondition{Type: c.Type, Status: c.Status, Reason: c.Reason})
		}
	}
	return &corev1.Node{
		ObjectMeta: identity(n, n.Labels),
		Spec:       corev1.NodeSpec{Unschedulable: n.Spec.Unschedulable, Taints: n.Spec.Taints},
		Status: corev1.NodeStatus{
			Allocatable: n.Status.Allocatable,
			Conditions:  ready,
			NodeInfo: corev1.NodeSystemInfo{
				KubeletVersion: n.Status.NodeInfo.KubeletVersion, ContainerRuntimeVersion: n.Status.NodeInfo.ContainerRuntimeVersion,
				OperatingSystem: n.Status.NodeInfo.OperatingSystem, Architecture: n.Status.NodeInfo.Architecture,
			},
		},
	}, nil
}

// shrinkPod keeps where a pod is, which GPUs it has and how it goes; what it was made from we know.
func shrinkPod(object any) (any, error) {
	p, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	return &corev1.Pod{
		ObjectMeta: identity(p, p.Labels),
		Spec:       corev1.PodSpec{NodeName: p.Spec.NodeName, Containers: holder(p.Spec)},
		Status: corev1.PodStatus{
			Phase: p.Status.Phase, Reason: p.Status.Reason, Message: p.Status.Message, Conditions: p.Status.Conditions,
			PodIP: p.Status.PodIP, StartTime: p.Status.StartTime,
			InitContainerStatuses: shrinkContainers(p.Status.InitContainerStatuses), ContainerStatuses: shrinkContainers(p.Status.ContainerStatuses),
		},
	}, nil
}

func shrinkContainers(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	out := make([]corev1.ContainerStatus, 0, len(all))
	for _, c := range all {
		out = append(out, corev1.ContainerStatus{
			Name: c.Name, State: c.State, LastTerminationState: c.LastTerminationState, Ready: c.Ready, RestartCount: c.RestartCount, Started: c.Started,
		})
	}
	return out
}

// shrinkConfigMap keeps the content of what may be ours, a configuration for a
// Workspace, or a catalog; of the others it is enough to know that they are there.
func shrinkConfigMap(object any) (any, error) {
	m, ok := object.(*corev1.ConfigMap)
	if !ok {
		return object, nil
	}
	_, inference := m.Data[v1beta1.ConfigKeyInference]
	_, tuning := m.Data[v1beta1.ConfigKeyTuning]
	if m.Labels[v1beta1.LabelWorkspace] == "" && !inference && !tuning && !isCatalog(m) {
		return &corev1.ConfigMap{ObjectMeta: identity(m, nil)}, nil
	}
	return kube.Shrink(m)
}

// identity is what every object is known by.
func identity(o client.Object, kept map[string]string) metav1.ObjectMeta {
	kube.ShareWords(kept)
	return metav1.ObjectMeta{
		Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(),
		CreationTimestamp: o.GetCreationTimestamp(), DeletionTimestamp: o.GetDeletionTimestamp(),
		OwnerReferences: o.GetOwnerReferences(), Labels: kept,
	}
}
