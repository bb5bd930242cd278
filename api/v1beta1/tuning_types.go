package v1beta1

// TuningMethod is how a model is tuned, in any case: lora or qlora.
//
// +kubebuilder:validation:Pattern=`^[Qq]?[Ll][Oo][Rr][Aa]$`
// +kubebuilder:validation:MaxLength=5
type TuningMethod string

const (
	// TuningLoRA trains a low-rank adapter on the model's own weights.
	TuningLoRA TuningMethod = "lora"
	// TuningQLoRA trains a low-rank adapter on weights quantised to 4 bits.
	TuningQLoRA TuningMethod = "qlora"
)

// TuningSpec says how a model is fine-tuned.
type TuningSpec struct {
	// preset names the model that is tuned.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="tuning.preset cannot change: create another Workspace"
	// +required
	Preset *PresetSpec `json:"preset,omitempty"`
	// method is lora or qlora, in any case.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="tuning.method cannot change: create another Workspace"
	// +required
	Method TuningMethod `json:"method,omitempty"`
	// config is the name of a ConfigMap whose key training_config.yaml holds
	// settings of the training.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Config string `json:"config,omitempty"`
	// input is the data set.
	// +kubebuilder:validation:XValidation:rule="[has(self.urls) && self.urls.size() > 0, has(self.image) && self.image.size() > 0, has(self.volumeSource)].filter(given, given).size() == 1",message="set exactly one of tuning.input.urls, tuning.input.image and tuning.input.volumeSource"
	// +kubebuilder:validation:XValidation:rule="!has(self.urls) || self.urls.all(u, u.matches('^https?://[^/ ]+'))",message="tuning.input.urls begin with http:// or https://"
	// +required
	Input *DataSource `json:"input,omitempty"`
	// output is where the tuned adapter goes.
	// +kubebuilder:validation:XValidation:rule="(has(self.image) && self.image.size() > 0) != has(self.volumeSource)",message="set exactly one of tuning.output.image and tuning.output.volumeSource"
	// +required
	Output *DataDestination `json:"output,omitempty"`
}
