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
	// Requests is for how many at once there was to be room, of Tokens each; 0 is not said.
	Requests, Tokens int
}

// Error says what is missing and what would help.
func (e *TooLargeError) Error() string {
	switch {
	case e.Need > e.Has && e.Requests > 1:
		return fmt.Sprintf("model %q needs %v of memory for %d requests at once of %d tokens, %v more than the %v of node %q: ask for fewer requests or a shorter context, or use a node with more memory",
			e.Model, e.Need, e.Requests, e.Tokens, e.Need-e.Has, e.Has, e.Node)
	case e.Need > e.Has:
		return fmt.Sprintf("model %q needs %v of memory, %v more than the %v of node %q: use a node with more memory, or a smaller model",
			e.Model, e.Need, e.Need-e.Has, e.Has, e.Node)
	case e.CPU < e.LeastCPU:
		return fmt.Sprintf("model %q needs at least %dm of CPU, node %q has %dm: use a node with more", e.Model, e.LeastCPU, e.Node, e.CPU)
	}
	return fmt.Sprintf("model %q needs %v of disk, node %q has %v: use a node with more", e.Model, e.LeastDisk, e.Node, e.Disk)
}

// UnpublishedError says that nobody says how much memory a type of machine has beside its GPUs.
type UnpublishedError struct {
	// Model is the id of the model, Node the name of the type.
	Model, Node string
}

// Error says what would do.
func (e *UnpublishedError) Error() string {
	return fmt.Sprintf("model %q would be served on the CPU of node %q, whose memory is not published: use one without GPUs, or nodes of your own, which say it themselves", e.Model, e.Node)
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
