package nodeclaim

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/karpenter/pkg/apis"
)

// AddToScheme makes the NodeClaim known to a scheme; Karpenter's other kinds are none of ours.
func AddToScheme(scheme *runtime.Scheme) error {
	version := schema.GroupVersion{Group: apis.Group, Version: "v1"}
	scheme.AddKnownTypes(version, &NodeClaim{}, &NodeClaimList{})
	metav1.AddToGroupVersion(scheme, version)
	return nil
}
