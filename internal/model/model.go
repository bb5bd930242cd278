package model

// Form is the shape in which weights are stored: each engine reads one.
type Form string

const (
	// FormGGUF is one quantised file, for llama.cpp.
	FormGGUF Form = "gguf"
	// FormHF is a folder of safetensors with config and tokenizer, for vLLM,
	// transformers and the tuner.
	FormHF Form = "hf"
)

// Model is what is known of a model; nothing in it depends on where it runs.
type Model struct {
	// ID names the model in a Workspace and in the registry of model images.
	ID string
	// HubID is owner/name at the hub that publishes the weights.
	HubID string
	// Aliases are further names under which a Workspace may ask for the model.
	Aliases []string
	// Licence is an SPDX identifier.
	Licence string
	// Parameters is the number of parameters.
	Parameters int64
	// Context is the largest number of tokens that prompt and answer may share.
	Context int
	// Layers, KVHeads and HeadDim size the key and value cache.
	Layers, KVHeads, HeadDim int
	// Forms are the shapes in which the weights are published.
	Forms map[Form]Weights
	// Chat is how the model is talked to where its own files say it badly.
	Chat Chat
}

// Chat is how conversations become prompts and prompts become answers, unless a
// request says otherwise. Empty fields leave it to the files of the model.
type Chat struct {
	// Template is the name of a well-known chat template, such as chatml.
	Template string
	// Temperature and TopP are the sampling that the model was published with;
	// nil is not known, and a temperature of 0 always takes the likeliest token.
	Temperature, TopP *float64
}

// Weights is one form of a model's weights.
type Weights struct {
	// Size is the sum of the files that an engine reads.
	Size Bytes
	// File is the one file of a GGUF, as it is called in the model image.
	File string
}

// KVBytesPerToken is the memory that one token of context takes at 16 bits.
func (m Model) KVBytesPerToken() Bytes {
	const keyAndValue, bytesPerNumber = 2, 2
	return Bytes(keyAndValue * bytesPerNumber * m.Layers * m.KVHeads * m.HeadDim)
}
