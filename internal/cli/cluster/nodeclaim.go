package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What NodeClaims are called. Karpenter's own types would bring every kind of Kubernetes,
// 13 MB of program; a test compares these with them.
const (
	karpenterGroup    = "karpenter.sh"
	LabelCapacity     = "karpenter.sh/capacity-type"
	LabelType         = "node.kubernetes.io/instance-type"
	LabelZone         = "topology.kubernetes.io/zone"
	LabelOrdinal      = "kaito.sh/node-ordinal"
	AnnotationAttempt = "kaito.sh/node-attempt"
)

func claimVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: karpenterGroup, Version: "v1"}
}

// NodeClaim is what is shown of Karpenter's kind.
type NodeClaim struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Requirements []struct {
			Key    string   `json:"key"`
			Values []string `json:"values"`
		} `json:"requirements"`
	} `json:"spec"`
	Status struct {
		NodeName   string             `json:"nodeName"`
		Conditions []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

// NodeClaimList is many.
type NodeClaimList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []NodeClaim `json:"items"`
}

// DeepCopyObject is what every kind must have.
func (n *NodeClaim) DeepCopyObject() runtime.Object {
	out := *n
	n.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Spec.Requirements = slices.Clone(n.Spec.Requirements)
	out.Status.Conditions = slices.Clone(n.Status.Conditions)
	return &out
}

// DeepCopyObject is what every kind must have.
func (l *NodeClaimList) DeepCopyObject() runtime.Object {
	out := *l
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	out.Items = slices.Clone(l.Items)
	return &out
}

// NoNodeClaimsError is a cluster that knows no NodeClaims.
type NoNodeClaimsError struct{ Host string }

// Error says what makes nodes.
func (e *NoNodeClaimsError) Error() string {
	return fmt.Sprintf("the cluster at %s knows no NodeClaims, so no nodes are made in it: install charts/gpu-provisioner, or another controller of Karpenter's API", e.Host)
}

// NodeClaims reads the NodeClaims with labels: a selector, or empty for all.
func (c *Cluster) NodeClaims(ctx context.Context, labels string) ([]NodeClaim, error) {
	var list NodeClaimList
	if err := c.List(ctx, Where{Labels: labels}, &list); err != nil {
		var none *NoNodeClaimsError
		if errors.As(err, &none) {
			return nil, err
		}
		return nil, fmt.Errorf("list NodeClaims: %w", err)
	}
	return list.Items, nil
}
