package model

// Tuning says how adapters of a model are trained. A model without it is not tuned.
type Tuning struct {
	// Targets are the linear layers of each block that an adapter changes unless the
	// user names others: the last part of their names in the form hf.
	Targets []string
	// Note says what a user should know before tuning this model, or is empty.
	Note string
}

// TuneLoad is what a training asks of a machine, as its settings say.
type TuneLoad struct {
	// Bits are those of a number of the base model's weights: 32, 16, 8 or 4.
	Bits int
	// Batch is the number of rows of one pass, Length the most tokens of a row.
	Batch, Length int
	// Rank is that of the adapter, Targets the layers that it changes.
	Rank    int
	Targets []string
	// Recompute says whether activations are computed again instead of being kept; nil
	// leaves it to the planner.
	Recompute *bool
}

// TunePlan is how a model is trained on one node.
type TunePlan struct {
	// Model is the id of the model.
	Model string
	// Load is what was planned for.
	Load TuneLoad
	// CPU is what the trainer's container asks for; on a CPU it is limited to it as well.
	CPU MilliCPU
	// Threads is the number of threads that compute; never more than CPU has cores.
	Threads int
	// Memory is what the trainer's container takes of the node, by part.
	Memory TuneMemory
	// Disk is what the pod writes on the node's disk; weights that it fetches are not counted.
	Disk Bytes
	// Recompute is true where activations are computed again instead of being kept.
	Recompute bool
	// GPU is the GPU that is trained on; nil trains on the CPU.
	GPU *TuneGPU
	// Note says what a user would ask about the plan; empty mostly.
	Note string
}

// TuneGPU is how a plan uses the GPUs of a node.
type TuneGPU struct {
	// Count is the number of GPUs.
	Count int
	// Resource is what a pod asks for; empty is ResourceNVIDIA.
	Resource string
	// Kind is the label of the nodes that were planned for; pods go to no others.
	Kind Label
	// Product, Capability and Each, the memory of each, are those of the GPUs of that kind.
	Product    string
	Capability Capability
	Each       Bytes
	// Memory is what the training takes of the GPU, by part.
	Memory TuneMemory
}

// GPUs is the number of GPUs of a plan.
func (p TunePlan) GPUs() int {
	if p.GPU == nil {
		return 0
	}
	return p.GPU.Count
}

// Kind is the label of the nodes that the plan is made for; zero is any node.
func (p TunePlan) Kind() Label {
	if p.GPU == nil {
		return Label{}
	}
	return p.GPU.Kind
}

// TuneMemory is the memory of a training by part.
type TuneMemory struct {
	// Weights is the base model.
	Weights Bytes
	// Adapter is what is trained: weights, gradients and the optimizer's two moments.
	Adapter Bytes
	// Activations are what the forward pass leaves for the backward pass.
	Activations Bytes
	// Logits are the scores of the whole vocabulary for each token, in all their copies.
	Logits Bytes
	// Overhead is the program and its libraries.
	Overhead Bytes
	// Shared is memory through which processes talk.
	Shared Bytes
}

// Total is the sum of the parts in whole MiB.
func (m TuneMemory) Total() Bytes {
	return (m.Weights + m.Adapter + m.Activations + m.Logits + m.Overhead + m.Shared).CeilTo(MiB)
}

// Linear is the shape of one linear layer.
type Linear struct{ In, Out int }

// Linears are the linear layers of one block that an adapter can change, by the last
// part of their names, as the architectures of the catalog have them: apart, or fused.
func (m Model) Linears() map[string]Linear {
	queries, keys := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	return map[string]Linear{
		"q_proj":       {m.Hidden, queries},
		"k_proj":       {m.Hidden, keys},
		"v_proj":       {m.Hidden, keys},
		"qkv_proj":     {m.Hidden, queries + 2*keys},
		"o_proj":       {queries, m.Hidden},
		"gate_proj":    {m.Hidden, m.MLP},
		"up_proj":      {m.Hidden, m.MLP},
		"gate_up_proj": {m.Hidden, 2 * m.MLP},
		"down_proj":    {m.MLP, m.Hidden},
	}
}

// AdapterParameters is the number of weights of an adapter.
func (m Model) AdapterParameters(rank int, targets []string) int64 {
	linears := m.Linears()
	var all int64
	for _, t := range targets {
		all += int64(rank) * int64(linears[t].In+linears[t].Out)
	}
	return all * int64(m.Layers)
}
