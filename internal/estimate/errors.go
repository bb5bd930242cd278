package estimate

import (
	"fmt"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// TooLargeError says by how much a model misses what a node has beside its GPUs.
type TooLargeError struct {
	// Model is the id of the model, Node the name of the node that comes closest.
	Model, Node string
	// Need and Has are the memory; Has may be enough when the CPU is not.
	Need, Has model.Bytes
	// CPU is what the node has, LeastCPU what it should have.
	CPU, LeastCPU model.MilliCPU
	// Disk and LeastDisk are the same for ephemeral storage; 0 is not asked for.
	Disk, LeastDisk model.Bytes
}

// Error says what is missing and what would help.
func (e *TooLargeError) Error() string {
	switch {
	case e.Need > e.Has:
		return fmt.Sprintf("model %q needs %v of memory, %v more than the %v of node %q: use a node with more memory, or a smaller model",
			e.Model, e.Need, e.Need-e.Has, e.Has, e.Node)
	case e.CPU < e.LeastCPU:
		return fmt.Sprintf("model %q needs at least %dm of CPU, node %q has %dm: use a node with more", e.Model, e.LeastCPU, e.Node, e.CPU)
	}
	return fmt.Sprintf("model %q needs %v of disk, node %q has %v: use a node with more", e.Model, e.LeastDisk, e.Node, e.Disk)
}

// NoFormError says that a model is not published in the form that an engine reads.
type NoFormError struct {
	// Model is the id of the model.
	Model string
	// Form is what is missing.
	Form model.Form
	// Weights is the size of the form that there is.
	Weights model.Bytes
}

// Error names the form.
func (e *NoFormError) Error() string {
	if e.Form == model.FormGGUF {
		return fmt.Sprintf("model %q has no weights in the form %q, which serving on a CPU needs: use a node with GPUs that hold its %v of weights and more", e.Model, e.Form, e.Weights)
	}
	return fmt.Sprintf("model %q has no weights in the form %q, which serving on GPUs needs: use a node without GPUs", e.Model, e.Form)
}

// Offer is a number of equal GPUs.
type Offer struct {
	// GPUs is how many.
	GPUs int
	// Each is the memory of each, in GB as it is sold.
	Each int
	// Slice is true of one slice of a GPU; Each is then its own memory.
	Slice bool
}

// GPUsTooSmallError says by how much a model misses the GPUs of a node.
type GPUsTooSmallError struct {
	// Model is the id of the model, Node the name of the node.
	Model, Node string
	// GPUs is how many of them the model can use, Product what they are called; Slice is their
	// profile where they are slices of GPUs, of which a model uses one.
	GPUs    int
	Product string
	Slice   string
	// Context is what was to fit.
	Context int
	// Need is what model, cache and engine take of all GPUs; Has is what the engine may use of them.
	Need, Has model.Bytes
	// Fits is what would do.
	Fits []Offer
	// Assumed is what was bounded from above because no source says it.
	Assumed []string
}

// Error says what is missing and what would help.
func (e *GPUsTooSmallError) Error() string {
	text := fmt.Sprintf("model %q with a context of %d needs %v of GPU memory, %v more than the %v that are usable of %d x %s on node %q",
		e.Model, e.Context, e.Need, e.Need-e.Has, e.Has, e.GPUs, e.Product, e.Node)
	if len(e.Fits) > 0 {
		text += ": it fits on " + offered(e.Fits)
	}
	if len(e.Assumed) > 0 {
		text += "; confidence is low, and the model may need less: " + strings.Join(e.Assumed, "; ")
	}
	return text
}

func offered(all []Offer) string {
	var parts []string
	for i, o := range all {
		switch {
		case o.Slice:
			parts = append(parts, fmt.Sprintf("1 slice with %d GB", o.Each))
		case i > 0 && all[i-1].Slice && o.GPUs == 1:
			parts = append(parts, fmt.Sprintf("1 whole GPU with %d GB", o.Each))
		case i > 0 && all[i-1].Slice:
			parts = append(parts, fmt.Sprintf("%d whole GPUs with %d GB each", o.GPUs, o.Each))
		case i > 0:
			parts = append(parts, fmt.Sprintf("%d with %d GB each", o.GPUs, o.Each))
		case o.GPUs == 1:
			parts = append(parts, fmt.Sprintf("1 GPU with %d GB", o.Each))
		default:
			parts = append(parts, fmt.Sprintf("%d GPUs with %d GB each", o.GPUs, o.Each))
		}
	}
	return strings.Join(parts, ", or ")
}

// gpusTooSmall measures what is missing on the most GPUs that could be used.
func gpusTooSmall(m model.Model, wish model.Wish, node model.NodeShape, count int, assumed []string) error {
	context := neededContext(m, wish)
	fit := fitGPUs(m, wish, node.GPUs.Memory, count)
	has := fit.memory.Weights + fit.memory.Adapters + fit.memory.Overhead - fit.short
	if fit.short == 0 {
		has += fit.memory.KVCache
	}
	cost := costOn(m, wish, count)
	cache := model.Bytes(count) * cost.of(context)
	return &GPUsTooSmallError{
		Model: m.ID, Node: node.Name, GPUs: count, Product: node.GPUs.Product, Slice: node.GPUs.Slice, Context: context,
		Need: fit.memory.Weights + fit.memory.Adapters + fit.memory.Overhead + cache, Has: has, Fits: adviceFor(m, wish, context, node.GPUs), Assumed: assumed,
	}
}

// withFullContext says where the whole context would fit.
func withFullContext(m model.Model, wish model.Wish, on model.GPUs) string {
	fits := adviceFor(m, wish, m.Context, on)
	if len(fits) == 0 {
		return fmt.Sprintf("the model's %d need more than 8 GPUs of any size", m.Context)
	}
	return fmt.Sprintf("the model's %d fit on %s", m.Context, offered(fits))
}

// CapabilityError says that GPUs are too old.
type CapabilityError struct {
	// Model is the id of the model, Node the name of the node, Product what its GPUs are called.
	Model, Node, Product string
	// Has is what they have, Least what is needed.
	Has, Least model.Capability
	// Quantisation is why, or empty.
	Quantisation string
}

// Error says what would do.
func (e *CapabilityError) Error() string {
	what := "vLLM's image has kernels for"
	if e.Quantisation != "" && e.Least != leastCapability("") {
		what = "vLLM needs for weights in " + e.Quantisation
	}
	return fmt.Sprintf("the GPUs of node %q, %s, have compute capability %v, and the oldest that %s is %v: use newer GPUs for model %q",
		e.Node, e.Product, e.Has, what, e.Least, e.Model)
}

// UnknownGPUError says that a node does not say what its GPUs are.
type UnknownGPUError struct {
	// Node is the name of the node, Vendor that of its GPUs; empty is NVIDIA.
	Node   string
	Vendor model.Vendor
	// Product is what they are called, or empty.
	Product string
}

// Error says how a node is made to say it.
func (e *UnknownGPUError) Error() string {
	if e.Vendor == model.AMD {
		return e.amd()
	}
	return fmt.Sprintf("node %q does not say how much memory its GPUs have and of which compute capability they are: "+
		"install NVIDIA GPU feature discovery, or set its labels nvidia.com/gpu.memory, nvidia.com/gpu.compute.major and nvidia.com/gpu.compute.minor", e.Node)
}

// SpreadError says that a model cannot be spread over the number of GPUs that was asked for.
type SpreadError struct {
	// Model is the id of the model, Node the name of the node.
	Model, Node string
	// Want is what was asked for, Possible what can be.
	Want     int
	Possible []int
}

// Error names the numbers that can be.
func (e *SpreadError) Error() string {
	return fmt.Sprintf("model %q cannot be spread over %d GPUs of node %q: its heads and the node allow %s",
		e.Model, e.Want, e.Node, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(e.Possible)), ", "), "[]"))
}

// RequestsError says that a KV cache holds fewer requests than were asked for.
type RequestsError struct {
	// Model is the id of the model, Node the name of the node.
	Model, Node string
	// GPUs is how many the model can use there, Product what they are called.
	GPUs    int
	Product string
	// Want is what was asked for, Holds what the cache holds, of requests of so many Tokens.
	Want, Holds, Tokens int
}

// Error says what would do.
func (e *RequestsError) Error() string {
	return fmt.Sprintf("model %q on %d x %s of node %q holds %d requests of %d tokens at once, and %d are asked for: it fits with a concurrency of %d or less, or on GPUs with more memory",
		e.Model, e.GPUs, e.Product, e.Node, e.Holds, e.Tokens, e.Want, e.Holds)
}

// ContextError says that a context is longer than the model's.
type ContextError struct {
	// Model is the id of the model.
	Model string
	// Want is what was asked for, Has the model's own.
	Want, Has int
}

// Error says what can be.
func (e *ContextError) Error() string {
	return fmt.Sprintf("a context of %d is more than the %d of model %q: ask for less", e.Want, e.Has, e.Model)
}

// UnservedError says that no engine of this version has code for a model.
type UnservedError struct {
	// Model is the id of the model, Architectures what its config names.
	Model         string
	Architectures []string
}

// Error names the architecture.
func (e *UnservedError) Error() string {
	return fmt.Sprintf("model %q is of the architecture %s, which neither vLLM nor llama.cpp serves; serving it with transformers comes with a later version",
		e.Model, strings.Join(e.Architectures, ", "))
}
