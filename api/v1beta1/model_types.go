package v1beta1

import (
	"k8s.io/apimachinery/pkg/runtime"
)

// PresetSpec names a model that Kaito knows how to run.
type PresetSpec struct {
	// name is a catalog id (smollm2-135m-instruct), a legacy alias
	// (phi-3-mini-128k-instruct) or a hub id (owner/name).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name,omitempty"`
	// accessMode is accepted for older manifests and not used.
	// +kubebuilder:validation:Enum=public;private
	// +optional
	AccessMode string `json:"accessMode,omitempty"`
	// presetOptions says where the weights come from.
	// +optional
	PresetOptions *PresetOptions `json:"presetOptions,omitempty"`
}

// PresetOptions says where the weights of a model come from.
type PresetOptions struct {
	// image is a model image that holds the weights.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Image string `json:"image,omitempty"`
	// imagePullSecrets are the names of Secrets to pull the model image with.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	// +optional
	ImagePullSecrets []string `json:"imagePullSecrets,omitempty"`
	// modelAccessSecret is the name of a Secret of the same namespace whose key
	// HF_TOKEN opens the model at the hub.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ModelAccessSecret string `json:"modelAccessSecret,omitempty"`
}

// DataSource is where data or an adapter comes from.
type DataSource struct {
	// name names the source; an adapter answers under it.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// urls are the addresses of files: http or https, in parquet, jsonl, json, csv or arrow.
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=4096
	// +listType=atomic
	// +optional
	URLs []string `json:"urls,omitempty"`
	// volumeSource is a volume that holds the files.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	VolumeSource *runtime.RawExtension `json:"volumeSource,omitempty"`
	// image is an image that holds the files.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Image string `json:"image,omitempty"`
	// imagePullSecrets are the names of Secrets to pull the image with.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	// +optional
	ImagePullSecrets []string `json:"imagePullSecrets,omitempty"`
}

// DataDestination is where a tuned adapter goes.
type DataDestination struct {
	// volumeSource is a volume that the adapter is written to.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	VolumeSource *runtime.RawExtension `json:"volumeSource,omitempty"`
	// image is the image that the adapter is pushed as.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Image string `json:"image,omitempty"`
	// imagePushSecret is the name of a Secret of type kubernetes.io/dockerconfigjson
	// to push the image with.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ImagePushSecret string `json:"imagePushSecret,omitempty"`
}
