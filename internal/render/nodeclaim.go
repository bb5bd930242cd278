package render

import (
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/nodelabel"
)

// drainLimit is how long a node that is removed may wait for its pods: a training may
// take minutes for its last checkpoint, and budgets of others may hold a drain up.
const drainLimit = time.Hour

// Node is one node that is made for a Workspace.
type Node struct {
	// Workspace is what the user wrote. With its name, namespace and UID, Ordinal and Attempt
	// make the claim's name: the how-manieth node it is, from 0, and how often it was replaced.
	Workspace        *v1beta1.Workspace
	Ordinal, Attempt int
	// InstanceType is the type as its provider writes it, GPUs how many GPUs it has, and
	// Resource what its device plugin calls them; empty is NVIDIA's.
	InstanceType string
	GPUs         int
	Resource     string
	// CapacityTypes are "on-demand" and "spot", best first; none leaves it to the provisioner.
	CapacityTypes []string
	// ImageFamily is the node's operating system, or empty.
	ImageFamily string
	// Disk is how large its disk must be.
	Disk model.Bytes
}

// Name is the name of its claim.
func (n Node) Name() string {
	ws := n.Workspace
	return nodeclaim.Name(ws.Namespace, ws.Name, string(ws.UID), n.Ordinal, n.Attempt)
}

// NodeClaim asks for the node. It has no owner: what is in no namespace cannot be owned by
// what is in one. The Workspace's finalizer stands in for that.
func NodeClaim(n Node) *nodeclaim.NodeClaim {
	ws := n.Workspace
	claim := &nodeclaim.NodeClaim{
		TypeMeta: metav1.TypeMeta{APIVersion: nodeclaim.APIVersion, Kind: nodeclaim.Kind},
		ObjectMeta: metav1.ObjectMeta{
			Name:   n.Name(),
			Labels: nodelabel.Made(ws),
			Annotations: map[string]string{
				nodeclaim.AnnotationDoNotDisrupt: "true",
				nodeclaim.AnnotationWorkspaceUID: string(ws.UID),
				nodeclaim.AnnotationAttempt:      strconv.Itoa(n.Attempt),
			},
		},
		Spec: nodeclaim.Spec{
			NodeClassRef: &nodeclaim.ClassRef{Group: nodeclaim.ClassGroup, Kind: nodeclaim.ClassKind, Name: nodeclaim.ClassName},
			Requirements: []nodeclaim.Requirement{
				in(corev1.LabelInstanceTypeStable, n.InstanceType),
				in(corev1.LabelOSStable, string(corev1.Linux)),
			},
			Resources: nodeclaim.Requirements{Requests: corev1.ResourceList{corev1.ResourceStorage: quantity(n.Disk)}},
			// A drain that something blocks must not cost for ever.
			TerminationGracePeriod: &metav1.Duration{Duration: drainLimit},
			// ExpireAfter at its zero value is written as Never: a node that serves is not
			// replaced for its age, as Karpenter's default of 30 days would have it.
		},
	}
	claim.Labels[nodeclaim.LabelOrdinal] = strconv.Itoa(n.Ordinal)
	if n.ImageFamily != "" {
		claim.Annotations[nodeclaim.AnnotationImageFamily] = n.ImageFamily
	}
	if len(n.CapacityTypes) > 0 {
		claim.Spec.Requirements = append(claim.Spec.Requirements, in(nodeclaim.LabelCapacityType, n.CapacityTypes...))
	}
	if n.GPUs > 0 {
		claim.Spec.Resources.Requests[gpuResource(n.Resource)] = *resource.NewQuantity(int64(n.GPUs), resource.DecimalSI)
		claim.Spec.Taints = []corev1.Taint{{Key: nodeclaim.TaintKey, Value: nodeclaim.TaintValue, Effect: corev1.TaintEffectNoSchedule}}
	}
	return claim
}

func in(key string, values ...string) nodeclaim.Requirement {
	return nodeclaim.Requirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: slices.Clone(values)}
}
