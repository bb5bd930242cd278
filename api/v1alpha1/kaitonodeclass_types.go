package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// KaitoNodeClass marks NodeClaims whose machines Kaito's provisioner makes: those whose
// spec.nodeClassRef is of this kind, whatever the name. It holds no settings.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=kaitonodeclasses,scope=Cluster,categories=karpenter
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type KaitoNodeClass struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is empty.
	// +optional
	Spec KaitoNodeClassSpec `json:"spec,omitempty"`
}

// KaitoNodeClassSpec has no settings.
type KaitoNodeClassSpec struct{}

// KaitoNodeClassList is a list of KaitoNodeClasses.
//
// +kubebuilder:object:root=true
type KaitoNodeClassList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list's metadata.
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the KaitoNodeClasses.
	Items []KaitoNodeClass `json:"items"`
}
