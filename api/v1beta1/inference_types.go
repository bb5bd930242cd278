package v1beta1

import (
	"k8s.io/apimachinery/pkg/runtime"
)

// InferenceSpec says which model is served.
//
// +kubebuilder:validation:XValidation:rule="has(self.preset) != has(self.template)",message="set exactly one of inference.preset and inference.template"
// +kubebuilder:validation:XValidation:rule="has(self.preset) == has(oldSelf.preset)",message="inference cannot change between preset and template: create another Workspace"
type InferenceSpec struct {
	// preset names a model that Kaito knows how to run.
	// +optional
	Preset *PresetSpec `json:"preset,omitempty"`
	// template is a pod template of your own, as in a StatefulSet; Kaito adds nodes, labels and the Service.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Template *runtime.RawExtension `json:"template,omitempty"`
	// config is the name of a ConfigMap whose key inference_config.yaml holds
	// settings of the engine.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Config string `json:"config,omitempty"`
	// adapters are served beside the model, each under its own name.
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.exists_one(b, b.source.name == a.source.name))",message="each adapter needs a name of its own"
	// +listType=atomic
	// +optional
	Adapters []AdapterSpec `json:"adapters,omitempty"`
}

// AdapterSpec is one adapter that is served beside its base model.
type AdapterSpec struct {
	// source is where the adapter comes from: an image or a volume.
	// +kubebuilder:validation:XValidation:rule="has(self.name) && self.name.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')",message="an adapter needs a name of lower-case letters, digits, '-' and '.'"
	// +kubebuilder:validation:XValidation:rule="(has(self.image) && self.image.size() > 0) != has(self.volumeSource)",message="an adapter comes from exactly one of image and volumeSource"
	// +kubebuilder:validation:XValidation:rule="!has(self.urls) || self.urls.size() == 0",message="an adapter comes from an image or a volume, not from urls"
	// +required
	Source *DataSource `json:"source,omitempty"`
	// strength weighs the adapter: a number from 0 to 1, by default 1.
	// +kubebuilder:validation:Pattern=`^(0(\.[0-9]+)?|\.[0-9]+|1(\.0+)?)$`
	// +kubebuilder:validation:MaxLength=32
	// +optional
	Strength *string `json:"strength,omitempty"`
}
