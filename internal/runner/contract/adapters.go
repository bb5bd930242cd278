package contract

// Adapter is one LoRA adapter of a serving pod. An init container of the runner's image
// (`kaito-runner adapters --config ConfigFile`) brings it to <AdaptersDir>/<name>/ as PEFT
// files and, for llama.cpp, converts it to <AdaptersDir>/<name>.gguf; it alone sees
// registries' secrets.
type Adapter struct {
	// Name is the model id under which the adapter answers.
	Name string `json:"name"`
	// Image holds the adapter below /data; nil where it is read from AdapterVolumeDir(Name).
	Image *WeightsImage `json:"image,omitempty"`
	// Strength is a decimal number that scales the adapter; empty is 1.
	Strength string `json:"strength,omitempty"`
	// Default is true of the one that answers where a request names no model.
	Default bool `json:"default,omitempty"`
}
