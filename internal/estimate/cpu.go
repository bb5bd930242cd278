package estimate

import "kaito.sh/kaito/internal/model"

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

// OnCPU plans a model for the CPU of one node.
func OnCPU(m model.Model, wish model.Wish, node model.NodeShape) (model.Plan, error) {
	weights, ok := m.Forms[model.FormGGUF]
	if !ok {
		return model.Plan{}, &NoFormError{Model: m.ID, Form: model.FormGGUF, Weights: m.Forms[model.FormHF].Size}
	}
	if node.Memory >= model.Unpublished {
		return model.Plan{}, &UnpublishedError{Model: m.ID, Node: node.Name}
	}
	m, assumed := Bounded(m)
	cpu := min(coresFor(weights.Size)*model.Core, node.CPU)
	plan := model.Plan{
		Model: m.ID, Engine: engineLlamacpp, Form: model.FormGGUF, Nodes: 1,
		CPU: cpu, Threads: max(1, int(cpu/model.Core)),
		Adapters: withAdapters(m, engineLlamacpp, wish.Adapters),
	}
	most, least := wantedSlots, 1
	if wish.Slots > 0 {
		most, least = wish.Slots, wish.Slots
	}
	for slots := most; slots >= least; slots-- {
		plan.Slots = slots
		plan.Context = cpuContext(m, wish, slots)
		if plan.Context > m.Context {
			return model.Plan{}, &ContextError{Model: m.ID, Want: plan.Context, Has: m.Context}
		}
		plan.Memory = cpuMemory(m, wish, plan)
		if plan.Memory.Total() <= node.Memory && node.CPU >= leastCPU {
			return founded(plan, assumed), nil
		}
	}
	return model.Plan{}, &TooLargeError{
		Model: m.ID, Node: node.Name, Need: plan.Memory.Total(), Has: node.Memory, CPU: node.CPU, LeastCPU: leastCPU,
		Requests: wish.Slots, Tokens: plan.Context,
	}
}

// cpuContext is what one request may use; llama.cpp counts the context of all slots.
func cpuContext(m model.Model, wish model.Wish, slots int) int {
	switch {
	case wish.Context > 0:
		return wish.Context
	case wish.TotalContext > 0:
		return max(1, wish.TotalContext/slots)
	}
	return m.Context
}

func cpuMemory(m model.Model, wish model.Wish, plan model.Plan) model.Memory {
	cache := promptCache
	if wish.PromptCache != nil {
		cache = *wish.PromptCache
	}
	if len(plan.Adapters.Ranks) > 0 {
		cache = 0 // it does not know adapters apart
	}
	return model.Memory{
		Weights:     m.Forms[model.FormGGUF].Size,
		KVCache:     times(m.KVBytesPerToken(), model.Bytes(plan.Context), model.Bytes(plan.Slots)),
		PromptCache: cache,
		Adapters:    plan.Adapters.Each * model.Bytes(len(plan.Adapters.Ranks)),
		Overhead:    engineOverhead + runnerOverhead,
	}
}

func coresFor(weights model.Bytes) model.MilliCPU {
	cores := (weights + weightsPerCore - 1) / weightsPerCore
	return model.MilliCPU(max(1, min(cores, mostCores)))
}
