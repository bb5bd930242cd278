package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kaito.sh/kaito/api/v1beta1"
)

// GroupVersion is the older version, served and not stored.
var GroupVersion = schema.GroupVersion{Group: v1beta1.Group, Version: "v1alpha1"}

// AddToScheme makes the types of this package known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &Workspace{}, &WorkspaceList{}, &KaitoNodeClass{}, &KaitoNodeClassList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
