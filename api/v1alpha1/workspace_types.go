package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
)

// Workspace turns a model into an endpoint, or a data set into a tuned model that
// is then served. Its stanzas stand at the top level: there is no spec.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=workspaces,scope=Namespaced,categories=workspace,shortName={wk,wks}
// +kubebuilder:printcolumn:name="Instance",type="string",JSONPath=".resource.instanceType"
// +kubebuilder:printcolumn:name="ResourceReady",type="string",JSONPath=".status.conditions[?(@.type==\"ResourceReady\")].status"
// +kubebuilder:printcolumn:name="InferenceReady",type="string",JSONPath=".status.conditions[?(@.type==\"InferenceReady\")].status"
// +kubebuilder:printcolumn:name="WorkspaceReady",type="string",JSONPath=".status.conditions[?(@.type==\"WorkspaceReady\")].status"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="JobStarted",type="string",priority=1,JSONPath=".status.conditions[?(@.type==\"JobStarted\")].status"
// +kubebuilder:printcolumn:name="Nodes",type="integer",priority=1,JSONPath=".status.targetNodeCount"
// +kubebuilder:printcolumn:name="Model",type="string",priority=1,JSONPath=".status.plan.model"
// +kubebuilder:printcolumn:name="State",type="string",priority=1,JSONPath=".status.state"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 52",message="the name of a Workspace has at most 52 characters: names of its children are made from it"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="the name of a Workspace is a DNS-1035 label: lower-case letters, digits and '-', beginning with a letter: its Service carries the same name"
// +kubebuilder:validation:XValidation:rule="has(self.inference) != has(self.tuning)",message="set exactly one of inference and tuning"
// +kubebuilder:validation:XValidation:rule="has(self.inference) == has(oldSelf.inference)",message="a Workspace cannot change between inference and tuning: create another one"
type Workspace struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// resource says on which nodes the model runs.
	// +required
	Resource v1beta1.ResourceSpec `json:"resource,omitempty"`
	// inference says which model is served. Exactly one of inference and tuning is set.
	// +optional
	Inference *v1beta1.InferenceSpec `json:"inference,omitempty"`
	// tuning says how a model is fine-tuned; the tuned model is then served.
	// Exactly one of inference and tuning is set.
	// +optional
	Tuning *v1beta1.TuningSpec `json:"tuning,omitempty"`
	// status is what the operator has observed and done.
	// +optional
	Status v1beta1.WorkspaceStatus `json:"status,omitempty"`
}

// WorkspaceList is a list of Workspaces.
//
// +kubebuilder:object:root=true
type WorkspaceList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list's metadata.
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the Workspaces.
	Items []Workspace `json:"items"`
}
