// Package estimate plans how a model runs on a node: arithmetic with units, from
// facts of the model and the shape of the node to a plan, or to how much is missing.
package estimate

import (
	"fmt"
	"slices"

	"kaito.sh/kaito/internal/model"
)

// What a CPU server needs beside weights and cache.
const (
	// engineOverhead holds compute buffers, the tokenizer and the program. Measured
	// for llama-server with a 135M model: 50 MiB; larger vocabularies need more.
	engineOverhead = 256 * model.MiB
	// runnerOverhead is the process that stands in front of the engine.
	runnerOverhead = 64 * model.MiB
	// promptCache keeps finished conversations, so that their next turn need not be
	// computed again. The engine's own default is 8 GiB.
	promptCache = 64 * model.MiB
)

// What a CPU server is given where the node has it.
const (
	// wantedSlots is the number of requests at once: on one core two together
	// answer more tokens a second than one after the other.
	wantedSlots = 2
	// weightsPerCore sets the cores: a token reads all weights once, and a core
	// reads about this much several times a second.
	weightsPerCore = 512 * model.MiB
	// mostCores is where memory bandwidth, not cores, becomes the limit.
	mostCores = 16
	// leastCPU is the smallest share of a core on which starting a server makes sense.
	leastCPU = model.Core / 10
)

// TooLargeError says by how much a model misses a node.
type TooLargeError struct {
	// Model is the id of the model, Node the name of the node that comes closest.
	Model, Node string
	// Need and Has are the memory; Has may be enough when the CPU is not.
	Need, Has model.Bytes
	// CPU is what the node has, LeastCPU what it should have.
	CPU, LeastCPU model.MilliCPU
}

// Error says what is missing and what would help.
func (e *TooLargeError) Error() string {
	if e.Need > e.Has {
		return fmt.Sprintf("model %q needs %s of memory, %s more than the %s of node %q: use a node with more memory, or a smaller model",
			e.Model, e.Need, e.Need-e.Has, e.Has, e.Node)
	}
	return fmt.Sprintf("model %q needs at least %dm of CPU, node %q has %dm: use a node with more", e.Model, e.LeastCPU, e.Node, e.CPU)
}

// NoFormError says that a model is not published in the form that an engine reads.
type NoFormError struct {
	// Model is the id of the model.
	Model string
	// Form is what is missing.
	Form model.Form
}

// Error names the form.
func (e *NoFormError) Error() string {
	return fmt.Sprintf("model %q has no weights in the form %q, which serving on a CPU needs", e.Model, e.Form)
}

// OnCPU plans a model for one node without a GPU.
func OnCPU(m model.Model, node model.NodeShape) (model.Plan, error) {
	weights, ok := m.Forms[model.FormGGUF]
	if !ok {
		return model.Plan{}, &NoFormError{Model: m.ID, Form: model.FormGGUF}
	}
	cpu := min(coresFor(weights.Size)*model.Core, node.CPU)
	plan := model.Plan{
		Model: m.ID, Engine: "llamacpp", Form: model.FormGGUF, Nodes: 1, Context: m.Context,
		CPU: cpu, Threads: max(1, int(cpu/model.Core)),
	}
	for slots := wantedSlots; slots >= 1; slots-- {
		plan.Slots = slots
		plan.Memory = memory(m, weights, slots)
		if plan.Memory.Total() <= node.Memory && node.CPU >= leastCPU {
			return plan, nil
		}
	}
	return model.Plan{}, &TooLargeError{
		Model: m.ID, Node: node.Name, Need: plan.Memory.Total(), Has: node.Memory, CPU: node.CPU, LeastCPU: leastCPU,
	}
}

// Best plans a model for the best that the nodes offer, and names the nodes that
// can hold that plan, sorted. A node that joins changes the plan only if it can
// do more than every other, so pods do not roll because a small node came.
func Best(m model.Model, nodes []model.NodeShape) (model.Plan, []string, error) {
	var best model.Plan
	var closest error
	for _, n := range bySize(nodes) {
		plan, err := OnCPU(m, n)
		switch {
		case err != nil && closest == nil:
			closest = err // the largest node comes first
		case err == nil && better(plan, best):
			best = plan
		}
	}
	if best.Nodes == 0 {
		return model.Plan{}, nil, closest
	}
	var names []string
	for _, n := range nodes {
		if n.Memory >= best.Memory.Total() && n.CPU >= best.CPU {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return best, names, nil
}

func memory(m model.Model, weights model.Weights, slots int) model.Memory {
	return model.Memory{
		Weights:     weights.Size,
		KVCache:     m.KVBytesPerToken() * model.Bytes(m.Context) * model.Bytes(slots),
		PromptCache: promptCache,
		Overhead:    engineOverhead + runnerOverhead,
	}
}

func coresFor(weights model.Bytes) model.MilliCPU {
	cores := (weights + weightsPerCore - 1) / weightsPerCore
	return model.MilliCPU(max(1, min(cores, mostCores)))
}
