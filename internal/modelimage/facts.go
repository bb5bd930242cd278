package modelimage

import (
	"fmt"
	"strconv"
)

// The two forms in which a model is packaged.
const (
	// FormGGUF is one GGUF file, for llama.cpp.
	FormGGUF = "gguf"
	// FormHF is a folder as transformers writes it, for vLLM, transformers and tuning.
	FormHF = "hf"
)

// Prefix begins the name of every annotation of ours.
const Prefix = "sh.kaito.model."

// Annotations of the OCI image specification that we fill.
const (
	annotationTitle    = "org.opencontainers.image.title"
	annotationLicenses = "org.opencontainers.image.licenses"
	annotationSource   = "org.opencontainers.image.source"
	annotationRevision = "org.opencontainers.image.revision"
)

// Facts is what is known of a model without loading it. A zero value means that
// the file does not say.
type Facts struct {
	// Name is the model's id in the catalog, or the user's own.
	Name string `json:"name"`
	// Form is FormGGUF or FormHF.
	Form string `json:"form"`
	// Architecture is the word of the form: "llama" in GGUF, "LlamaForCausalLM" in config.json.
	Architecture string `json:"architecture"`
	// Parameters counts the weights.
	Parameters int64 `json:"parameters,omitempty"`
	// Context is the number of tokens that the model was trained for.
	Context int64 `json:"context,omitempty"`
	// Layers, Heads, KVHeads, HeadDim and Hidden are the shape that sizes a KV cache.
	Layers  int64 `json:"layers,omitempty"`
	Heads   int64 `json:"heads,omitempty"`
	KVHeads int64 `json:"kvHeads,omitempty"`
	HeadDim int64 `json:"headDim,omitempty"`
	Hidden  int64 `json:"hidden,omitempty"`
	// Vocabulary is the number of tokens.
	Vocabulary int64 `json:"vocabulary,omitempty"`
	// Quantization is the type that most weights have: Q4_1, BF16, gptq.
	Quantization string `json:"quantization,omitempty"`
	// WeightsBytes is the size of all tensors.
	WeightsBytes int64 `json:"weightsBytes,omitempty"`
	// File is the name of the GGUF file under /model; empty for FormHF.
	File string `json:"file,omitempty"`
	// ChatTemplate is "sha256:<hex>" of the chat template. The text itself may be
	// larger than an annotation should be, and stands in the files anyway.
	ChatTemplate string `json:"chatTemplate,omitempty"`
	// License is an SPDX expression; empty with NoLicense.
	License string `json:"license,omitempty"`
	// NoLicense is the reason a person gave for packaging without a licence.
	NoLicense string `json:"noLicense,omitempty"`
	// Source is where the files came from.
	Source string `json:"source,omitempty"`
	// Revision is the revision of Source.
	Revision string `json:"revision,omitempty"`
}

// field ties one fact to its annotation.
type field struct {
	key    string
	text   *string
	number *int64
}

// fields lists every fact that is an annotation, in the order in which a person reads them.
func (f *Facts) fields() []field {
	return []field{
		{key: Prefix + "name", text: &f.Name},
		{key: Prefix + "form", text: &f.Form},
		{key: Prefix + "architecture", text: &f.Architecture},
		{key: Prefix + "parameters", number: &f.Parameters},
		{key: Prefix + "context", number: &f.Context},
		{key: Prefix + "layers", number: &f.Layers},
		{key: Prefix + "heads", number: &f.Heads},
		{key: Prefix + "kv-heads", number: &f.KVHeads},
		{key: Prefix + "head-dim", number: &f.HeadDim},
		{key: Prefix + "hidden", number: &f.Hidden},
		{key: Prefix + "vocabulary", number: &f.Vocabulary},
		{key: Prefix + "quantization", text: &f.Quantization},
		{key: Prefix + "weights-bytes", number: &f.WeightsBytes},
		{key: Prefix + "file", text: &f.File},
		{key: Prefix + "chat-template", text: &f.ChatTemplate},
		{key: Prefix + "no-license", text: &f.NoLicense},
		{key: annotationLicenses, text: &f.License},
		{key: annotationSource, text: &f.Source},
		{key: annotationRevision, text: &f.Revision},
	}
}

// Annotations renders the facts that are known. Same facts, same map.
func (f Facts) Annotations() map[string]string {
	out := map[string]string{annotationTitle: f.Name}
	for _, x := range f.fields() {
		switch {
		case x.text != nil && *x.text != "":
			out[x.key] = *x.text
		case x.number != nil && *x.number != 0:
			out[x.key] = strconv.FormatInt(*x.number, 10)
		}
	}
	return out
}

// FactsOf reads the annotations of a manifest. An image without our annotations
// is not a model image, which is false and no error.
func FactsOf(annotations map[string]string) (Facts, bool, error) {
	var f Facts
	for _, x := range f.fields() {
		text, ok := annotations[x.key]
		if !ok {
			continue
		}
		if x.text != nil {
			*x.text = text
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return f, false, fmt.Errorf("read annotation %s: %q is not a count", x.key, text)
		}
		*x.number = n
	}
	return f, f.Name != "" && f.Form != "", nil
}
