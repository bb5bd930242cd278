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
// Zero means not known, except for what must be there: ID, HubID, Licence,
// Context, and at least one form. The planner bounds from above what is not known.
type Model struct {
	// ID names the model in a Workspace and in the registry of model images.
	ID string
	// HubID is owner/name at the hub that publishes the weights.
	HubID string
	// Aliases are further names under which a Workspace may ask for the model.
	Aliases []string
	// Licence is an SPDX identifier, or the publisher's own name for its terms.
	Licence string
	// Redistributable is true where the licence lets anybody put the weights into
	// a registry of their own; false is no or not known.
	Redistributable bool
	// Gated is true where the hub gives the weights only to accounts that accepted terms.
	Gated bool
	// Parameters is the number of parameters.
	Parameters int64
	// Context is the largest number of tokens that prompt and answer may share.
	Context int
	// Layers, KVHeads and HeadDim size the key and value cache.
	Layers, KVHeads, HeadDim int
	// Heads is the number of attention heads, Hidden the width of the model.
	Heads, Hidden int
	// Attention is what layers keep of the tokens they have seen.
	Attention Attention
	// MLP is the width inside each block, Vocabulary the number of tokens that there are;
	// what is tuned has both.
	MLP, Vocabulary int
	// Experts is how many experts a layer has that has any, ExpertsPerToken how many of them a
	// token uses.
	Experts, ExpertsPerToken int
	// TiedEmbeddings is true where words go in and come out through the same matrix.
	TiedEmbeddings bool
	// Architectures are the classes that the config of the form hf names.
	Architectures []string
	// RemoteCode is true where the publisher's own program has to run to load the form hf.
	RemoteCode bool
	// Unserved is true where vLLM has no code for the architectures.
	Unserved bool
	// Quantisation is the method by which the form hf is quantised; empty is none.
	Quantisation string
	// QuantisationBits are those of a quantised number; 0 is not known.
	QuantisationBits int
	// Forms are the shapes in which the weights are published.
	Forms map[Form]Weights
	// Chat is how the model is talked to where its own files say it badly.
	Chat Chat
	// VLLM are the flags by which vLLM serves this model well, such as the parser
	// of its tool calls, by name without dashes.
	VLLM map[string]string
	// Tuning says how adapters are trained; nil is a model that is not tuned.
	Tuning *Tuning
}

// Names are all names under which a Workspace may ask for the model: id, hub id, aliases.
func (m Model) Names() []string {
	if m.HubID == "" { // a model of one's own
		return append([]string{m.ID}, m.Aliases...)
	}
	return append([]string{m.ID, m.HubID}, m.Aliases...)
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

// Weights is one form of a model's weights. Their model image is called after the
// model and the form; a hub may have them besides.
type Weights struct {
	// Size is the sum of the files that an engine reads.
	Size Bytes
	// File is the one file of a GGUF, as it is called in the model image.
	File string
	// Hub is where the publisher has them, or nil.
	Hub *Hub
}

// Hub is a repository of a hub that speaks the protocol of Hugging Face.
type Hub struct {
	// Repository is owner/name.
	Repository string
	// Revision is a commit, a tag or a branch; the runner resolves it to a commit.
	Revision string
	// Files are patterns of the files to fetch; none fetches all that an engine loads.
	Files []string
}
