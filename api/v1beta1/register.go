package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of every kind of ours.
const Group = "kaito.sh"

// GroupVersion is the version that is stored.
var GroupVersion = schema.GroupVersion{Group: Group, Version: "v1beta1"}

// WorkspaceKind is the kind of a Workspace, for owner references.
const WorkspaceKind = "Workspace"

// AddToScheme makes the types of this package known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &Workspace{}, &WorkspaceList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
