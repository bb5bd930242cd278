// Package adapter is a LoRA adapter in PEFT's two files: it checks them, packs them
// into an OCI image, and brings them back from one.
//
// Adapters come from strangers as well as from our own trainer. No file is loaded
// here: headers are read with bounds, links and names that lead out are refused.
package adapter

import "fmt"

// Names of an adapter's files and of the folder that holds them in an image.
const (
	// Dir is the folder of an adapter image that holds the two files.
	Dir = "data"
	// ConfigFile says how the weights belong to the base model.
	ConfigFile = "adapter_config.json"
	// WeightsFile holds the weights.
	WeightsFile = "adapter_model.safetensors"
)

const (
	// maxConfig bounds adapter_config.json; real ones have a kilobyte, those that list
	// every module a hundred.
	maxConfig = 4 << 20
	// MaxBytes bounds the weights: rank 512 on all projections of a 70B model has 13 GB in half precision.
	MaxBytes = 64 << 30
)

// Facts are what an adapter says about itself without being loaded.
type Facts struct {
	// Base is the model that it was trained on, as its configuration names it; may be empty.
	Base string
	// Revision is that of the base, where it is named.
	Revision string
	// Rank is the largest rank of a module.
	Rank int
	// Alpha scales the adapter: by Alpha/Rank, or Alpha/√Rank with RankStabilized.
	Alpha          float64
	RankStabilized bool
	// Patterned is true where modules have ranks or alphas of their own.
	Patterned bool
	// DoRA is true where the adapter also changes the magnitude of the weights.
	DoRA bool
	// Init is how the weights began, where PEFT's configuration says more than true or
	// false: pissa, olora and others fit a changed base only.
	Init string
	// TargetModules are the last parts of the names of the modules that it changes, sorted.
	TargetModules []string
	// Other are tensors that are no low-rank pair: whole modules and biases, sorted.
	Other []string
	// Tensors, Parameters and Bytes are those of the weights.
	Tensors    int
	Parameters int64
	Bytes      int64
	// Digest is "sha256:<hex>" over the two files, the configuration first.
	Digest string
}

// UnusableError says that an adapter must not or cannot be used.
type UnusableError struct {
	// File is the offending file, or empty.
	File string
	// Why says what is wrong.
	Why string
}

// Error names the file and the reason.
func (e *UnusableError) Error() string {
	if e.File == "" {
		return e.Why
	}
	return fmt.Sprintf("%q: %s", e.File, e.Why)
}

func unusable(file, format string, args ...any) error {
	return &UnusableError{File: file, Why: fmt.Sprintf(format, args...)}
}
