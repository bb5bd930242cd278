// Package v1beta1 is the shape of the Workspace, as users write it and as it is
// stored. It holds types, condition constructors and the names of labels and
// annotations, and nothing that acts.
//
// The package api/v1alpha1 serves the same stanzas under the older version name,
// so the two schemas cannot drift apart.
//
// Fields of free form (a pod template, a volume) stay raw: the API server does not
// check them, and one object that cannot be decoded would stop the watch of all.
//
// +kubebuilder:object:generate=true
// +groupName=kaito.sh
package v1beta1
