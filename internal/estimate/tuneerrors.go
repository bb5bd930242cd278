package estimate

import (
	"fmt"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// TrainingTooLargeError says by how much a training misses a node, and what would fit.
type TrainingTooLargeError struct {
	// Model is the id of the model, Node the name of the node that comes closest.
	Model, Node string
	// GPU is true of the memory of a GPU.
	GPU bool
	// Load is what was to fit.
	Load model.TuneLoad
	// Need and Has are the memory.
	Need, Has model.Bytes
	// Fits are changes of which each alone would do.
	Fits []string
	// Sizes is the smallest GPU, in GB as it is sold, that would do; 0 is none.
	Size int
}

// Error says what is missing and what would help.
func (e *TrainingTooLargeError) Error() string {
	memory, larger := "memory", "use a node with more memory"
	if e.GPU {
		memory, larger = "GPU memory", "no GPU that is sold holds it"
		if e.Size > 0 {
			larger = fmt.Sprintf("use a GPU of %d GB or more", e.Size)
		}
	}
	return fmt.Sprintf("training model %q at %d bits with batches of %d rows of at most %d tokens needs %v of %s, %v more than the %v of node %q that can be planned with: %s",
		e.Model, e.Load.Bits, e.Load.Batch, e.Load.Length, e.Need, memory, e.Need-e.Has, e.Has, e.Node, strings.Join(append(e.Fits, larger), ", or "))
}

// TooSlowError says that a model is too large to be trained on a CPU.
type TooSlowError struct {
	// Model is the id of the model, Node the name of the node.
	Model, Node string
	// Parameters is their number, Most that of the largest that is trained.
	Parameters, Most int64
}

// Error says why, and what helps.
func (e *TooSlowError) Error() string {
	const billion, tokens, coreSeconds = 1e9, 100_000, 17e-3 / 135e6
	hours := float64(e.Parameters) * coreSeconds * tokens / 3600
	return fmt.Sprintf("model %q has %.1f billion parameters, and models of more than %.0f billion are not trained on a CPU, which node %q offers: "+
		"%d tokens would take it about %.0f hours a core; use a node with a GPU",
		e.Model, float64(e.Parameters)/billion, float64(e.Most)/billion, e.Node, tokens, hours)
}

// TuneCapabilityError says that GPUs are too old for the trainer.
type TuneCapabilityError struct {
	// Model is the id of the model, Node the name of the node, Product what its GPUs are called.
	Model, Node, Product string
	// Has is their compute capability, Least what is needed.
	Has, Least model.Capability
}

// Error says what would do.
func (e *TuneCapabilityError) Error() string {
	return fmt.Sprintf("the GPUs of node %q, %s, have compute capability %v, and the oldest that the trainer's image has kernels for is %v: use newer GPUs to train model %q",
		e.Node, e.Product, e.Has, e.Least, e.Model)
}

// TuneVendorError says that nothing trains on the GPUs of a vendor.
type TuneVendorError struct {
	// Model is the id of the model, Node the name of the node, Product what its GPUs are called.
	Model, Node, Product string
}

// Error says what would do.
func (e *TuneVendorError) Error() string {
	return fmt.Sprintf("model %q is not trained on the GPUs of node %q, %s: this version has no trainer for AMD's; use a node with NVIDIA's",
		e.Model, e.Node, e.Product)
}

// trainingRoom is what a training needs and what there is.
type trainingRoom struct {
	need, has model.Bytes
	gpu       bool
	// fits says whether another load would do.
	fits func(model.TuneLoad) bool
}

// noRoom looks for what would fit.
func noRoom(m model.Model, load model.TuneLoad, node model.NodeShape, room trainingRoom) error {
	e := &TrainingTooLargeError{Model: m.ID, Node: node.Name, GPU: room.gpu, Load: load, Need: room.need, Has: room.has}
	if load.Recompute != nil && !*load.Recompute && room.fits(load) {
		e.Fits = append(e.Fits, "leave TrainingArguments.gradient_checkpointing out")
	}
	const step, least = 128, 128
	for length := (load.Length - 1) / step * step; length >= least; length -= step {
		if shorter := load; room.fits(with(shorter, load.Batch, length, load.Bits)) {
			e.Fits = append(e.Fits, fmt.Sprintf("set TrainingArguments.max_length to %d or less", length))
			break
		}
	}
	for batch := load.Batch / 2; batch >= 1; batch /= 2 {
		if room.fits(with(load, batch, load.Length, load.Bits)) {
			e.Fits = append(e.Fits, fmt.Sprintf("set TrainingArguments.per_device_train_batch_size to %d", batch))
			break
		}
	}
	const fewest, half = 4, 16
	if load.Bits >= half && room.fits(with(load, load.Batch, load.Length, fewest)) {
		e.Fits = append(e.Fits, "create a Workspace with tuning.method qlora")
	}
	if room.gpu {
		for _, size := range sizes() {
			if onGPU(m, load, true).Total() <= model.Nominal(float64(size))*visiblePercent/100*trainingPercent/100 {
				e.Size = size
				break
			}
		}
	}
	return e
}

func with(load model.TuneLoad, batch, length, bits int) model.TuneLoad {
	load.Batch, load.Length, load.Bits = batch, length, bits
	return load
}
