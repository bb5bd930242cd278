package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The markers of Workspace are repeated on the root kind of api/v1alpha1; a test
// compares the two generated schemas.

// Workspace turns a model into an endpoint, or a data set into a tuned model that
// is then served. Its stanzas stand at the top level: there is no spec.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
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
	Resource ResourceSpec `json:"resource,omitempty"`
	// inference says which model is served. Exactly one of inference and tuning is set.
	// +optional
	Inference *InferenceSpec `json:"inference,omitempty"`
	// tuning says how a model is fine-tuned; the tuned model is then served.
	// Exactly one of inference and tuning is set.
	// +optional
	Tuning *TuningSpec `json:"tuning,omitempty"`
	// status is what the operator has observed and done.
	// +optional
	Status WorkspaceStatus `json:"status,omitempty"`
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

// ResourceSpec says on which nodes a model runs.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.instanceType) || oldSelf.instanceType.size() == 0 || (has(self.instanceType) && self.instanceType == oldSelf.instanceType)",message="instanceType cannot change once it is set: create another Workspace"
// +kubebuilder:validation:XValidation:rule="has(self.partition) == has(oldSelf.partition)",message="partition cannot be added or removed: create another Workspace"
type ResourceSpec struct {
	// count is accepted for older manifests: a lower bound on the number of nodes.
	// How many nodes a model needs is computed.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Count *int32 `json:"count,omitempty"`
	// instanceType is the type of the nodes to provision. Empty: the cluster's own
	// nodes that match labelSelector are used.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	InstanceType string `json:"instanceType,omitempty"`
	// labelSelector selects the nodes. Its matchLabels are also set on nodes that
	// are provisioned.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="labelSelector cannot change: create another Workspace"
	// +required
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
	// preferredNodes is accepted for older manifests and not used.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=atomic
	// +optional
	PreferredNodes []string `json:"preferredNodes,omitempty"`
	// partition shares the GPUs of a node between Workspaces.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="partition cannot change: create another Workspace"
	// +optional
	Partition *PartitionSpec `json:"partition,omitempty"`
}

// PartitionMode says how the GPUs of a node are shared.
//
// +kubebuilder:validation:Enum=mig;accelerator
type PartitionMode string

const (
	// PartitionMIG takes slices of NVIDIA multi-instance GPUs.
	PartitionMIG PartitionMode = "mig"
	// PartitionAccelerator takes some of the GPUs of a node.
	PartitionAccelerator PartitionMode = "accelerator"
)

// PartitionSpec takes a part of a node's GPUs.
//
// +kubebuilder:validation:XValidation:rule="self.mode == 'mig' ? has(self.profile) && !has(self.count) : has(self.count) && !has(self.profile)",message="mode mig takes a profile, mode accelerator takes a count"
type PartitionSpec struct {
	// mode is mig (slices of a GPU) or accelerator (some of the GPUs).
	// +required
	Mode PartitionMode `json:"mode,omitempty"`
	// profile is the profile of the slices, for example 1g.10gb.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:MinLength=1
	// +optional
	Profile string `json:"profile,omitempty"`
	// count is the number of GPUs.
	// +kubebuilder:validation:Minimum=1
	// +optional
	Count int32 `json:"count,omitempty"`
}
