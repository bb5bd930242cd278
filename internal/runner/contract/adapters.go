package contract

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Adapter is one LoRA adapter of a serving pod. An init container of the runner's image
// (`kaito-runner adapters --config ConfigFile`) brings it to AdapterPEFT(name) for vLLM,
// and as one file to AdapterGGUF(name) for llama.cpp; it alone sees registries' secrets.
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

// Scale is the strength as a number; Parse has read it before.
func (a Adapter) Scale() float64 {
	scale, err := strconv.ParseFloat(a.Strength, 64)
	if a.Strength == "" || err != nil {
		return 1
	}
	return scale
}

// AdapterBase is what is known of the model that adapters are put on. What is 0 or empty
// is not known and not compared.
type AdapterBase struct {
	// HubID is owner/name at the hub, as adapters name their base.
	HubID string `json:"hubID"`
	// Architecture is the class that the model's config.json names, such as LlamaForCausalLM.
	Architecture string `json:"architecture,omitempty"`
	// Layers, Heads, KVHeads and HeadDim are those of the attention.
	Layers  int `json:"layers,omitempty"`
	Heads   int `json:"heads,omitempty"`
	KVHeads int `json:"kvHeads,omitempty"`
	HeadDim int `json:"headDim,omitempty"`
	// Hidden is the width of the model, MLP that inside each block.
	Hidden int `json:"hidden,omitempty"`
	MLP    int `json:"mlp,omitempty"`
	// MaxRank is the largest rank that the engine is started for.
	MaxRank int `json:"maxRank"`
}

// AdapterPEFT is the folder with the two files of an adapter, for vLLM.
func AdapterPEFT(name string) string { return path.Join(AdaptersDir, name) }

// AdapterGGUF is the file of an adapter, for llama.cpp.
func AdapterGGUF(name string) string { return path.Join(AdaptersDir, name+".gguf") }

// wrongAdapters names the values that are there and cannot be meant.
func wrongAdapters(s Serve) []string {
	if len(s.Adapters) == 0 {
		return nil
	}
	var out []string
	if s.AdapterBase == nil {
		out = append(out, "adapterBase is missing")
	}
	names, defaults := map[string]bool{}, 0
	for i, a := range s.Adapters {
		place := fmt.Sprintf("adapters[%d].", i)
		if why := wrongName(s, a.Name, names[a.Name]); why != "" {
			out = append(out, fmt.Sprintf("%sname %q is %s", place, a.Name, why))
		}
		names[a.Name] = true
		if scale, err := strconv.ParseFloat(a.Strength, 64); a.Strength != "" && (err != nil || scale < 0 || scale-scale != 0) {
			out = append(out, fmt.Sprintf("%sstrength %q is not a number from 0 on", place, a.Strength))
		}
		if a.Default {
			defaults++
		}
	}
	if defaults > 1 {
		out = append(out, fmt.Sprintf("%d adapters are the default", defaults))
	}
	return out
}

// wrongName says what the name of an adapter is and must not be, or nothing.
func wrongName(s Serve, name string, taken bool) string {
	switch {
	case strings.ContainsAny(name, "/\\\x00") || strings.HasPrefix(name, "."):
		return "not the name of a file"
	case taken:
		return "that of another adapter"
	case name != "" && (name == s.Model.ID || slices.Contains(s.Model.Aliases, name)):
		return "that of the model"
	default:
		return ""
	}
}
