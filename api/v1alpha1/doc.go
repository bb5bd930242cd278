// Package v1alpha1 serves the Workspace under its older version name. It declares
// the root kinds alone: every stanza is the type of api/v1beta1.
//
// +kubebuilder:object:generate=true
// +groupName=kaito.sh
package v1alpha1
