package model

// Wish is what a user asks of a plan. Zero fields leave it to the planner.
type Wish struct {
	// Context is the number of tokens that prompt and answer share.
	Context int
	// TotalContext is the same for all slots together, as llama.cpp counts.
	TotalContext int
	// Slots is the number of requests at once. Held asks that the KV cache holds so many of
	// usual length, in all copies of the model together; without it the engine of each copy
	// takes so many at once and lets some of them wait.
	Slots int
	Held  bool
	// GPUs is the number of GPUs that share each layer.
	GPUs int
	// Copies is the number of copies of the model on a node.
	Copies int
	// Utilisation is the part of each GPU's memory that the engine may use.
	Utilisation float64
	// CacheBits are the bits of a number in the KV cache: 16 unless it is quantised.
	CacheBits int
	// PromptCache is the memory for finished conversations, where nil is not said.
	PromptCache *Bytes
	// Adapters are those that are served beside the model.
	Adapters Adapters
}

// Adapters are LoRA adapters that are served beside a model.
type Adapters struct {
	// Ranks are those of each; 0 is not known before the adapter is there.
	Ranks []int
	// MaxRank is the largest rank that the engine takes; a planner fills it in where it is 0.
	MaxRank int
	// AtOnce is how many may be in use in one step; a planner fills it in where it is 0.
	AtOnce int
	// Each is the most that one of them takes in 32 bits; a planner fills it in.
	Each Bytes
}

// Wishes are what a user asks of a plan, by engine.
type Wishes map[string]Wish

// Plan is how a model is run on each of its nodes.
type Plan struct {
	// Model is the id of the model.
	Model string
	// Engine is the server that runs it.
	Engine string
	// Form is the form of the weights that the engine reads.
	Form Form
	// Nodes is the number of nodes, which serve the model together: one pod on each.
	Nodes int
	// Context is the number of tokens that prompt and answer of one request share.
	Context int
	// Slots is the number of requests that are answered at once, by all copies together.
	Slots int
	// Threads is the number of threads that compute on a CPU; never more than CPU has cores.
	Threads int
	// CPU is what the engine's container asks for; on a CPU it is limited to it as well.
	CPU MilliCPU
	// Memory is what the engine's container asks for, by part.
	Memory Memory
	// Disk is what it writes on the node's disk, weights and adapters not counted.
	Disk Bytes
	// Adapters are those that are served beside the model.
	Adapters Adapters
	// GPU is how GPUs are used; nil runs on the CPU.
	GPU *GPUPlan
	// Beside says that pods of others have GPUs that would hold more, and what the plan was
	// made within; nil mostly.
	Beside *Beside
	// Note says what a user would ask about the plan; empty mostly.
	Note string
	// Confidence says whether the plan rests on facts alone.
	Confidence Confidence
	// Assumed is what was bounded from above because no source says it, sorted; empty where
	// the confidence is high.
	Assumed []string
}

// Beside is what pods of others leave of the GPUs of a node.
type Beside struct {
	// Free is how many GPUs of a node are left of the kind that the plan uses; 0 is none.
	Free int
	// Resource is what pods ask for to get them; empty of a plan without GPUs.
	Resource string
}

// Confidence is how well founded a plan is.
type Confidence string

const (
	// ConfidenceHigh rests on facts of the model alone.
	ConfidenceHigh Confidence = "high"
	// ConfidenceLow took an upper bound for a fact that has no source: the model may need less
	// than planned, and never more.
	ConfidenceLow Confidence = "low"
)

// GPUPlan is how a plan uses the GPUs of its nodes, which are all alike.
type GPUPlan struct {
	// Count is the number of GPUs of each node. With the Nodes of the plan it is Tensor x
	// Stages x Copies.
	Count int
	// Tensor is the number of GPUs that share each layer, on one node.
	Tensor int
	// Stages is into how many parts the layers are cut, which a request passes one after
	// another: some on each node, never one on two.
	Stages int
	// Copies is how many copies of the model answer, all on one node.
	Copies int
	// Experts is true where GPUs that share layers have whole experts each, and not a part of every one.
	Experts bool
	// Resource is what a pod asks for; empty is ResourceNVIDIA.
	Resource string
	// Slice is the profile of the slices where GPUs are cut, or empty.
	Slice string
	// Kind is the label of the nodes that were planned for; pods go to no others.
	Kind Label
	// Product, Capability and Each, the memory of each, are those of the GPUs of that kind.
	Product    string
	Capability Capability
	Each       Bytes
	// Utilisation is the part of each GPU's memory that the engine uses.
	Utilisation float64
	// Memory is the memory of all GPUs of all nodes together, by part; each is counted like
	// the fullest.
	Memory Memory
}

// GPUs is the number of GPUs on each node of a plan.
func (p Plan) GPUs() int {
	if p.GPU == nil {
		return 0
	}
	return p.GPU.Count
}

// AllGPUs is the number of GPUs on all nodes of a plan.
func (p Plan) AllGPUs() int { return p.GPUs() * p.Nodes }

// Copies is how many copies of the model answer.
func (p Plan) Copies() int {
	if p.GPU == nil {
		return 1
	}
	return max(1, p.GPU.Copies)
}

// Kind is the label of the nodes that the plan is made for; zero is any node.
func (p Plan) Kind() Label {
	if p.GPU == nil {
		return Label{}
	}
	return p.GPU.Kind
}

// Memory is the memory of a plan by part.
type Memory struct {
	// Weights is the model itself.
	Weights Bytes
	// KVCache holds the tokens of all slots.
	KVCache Bytes
	// PromptCache keeps the state of finished conversations for their next turn.
	PromptCache Bytes
	// Adapters are those that are served beside the model.
	Adapters Bytes
	// Overhead is what engine and runner need besides.
	Overhead Bytes
	// Shared is memory through which the processes of an engine talk.
	Shared Bytes
}

// Total is the sum of the parts in whole MiB.
func (m Memory) Total() Bytes {
	return (m.Weights + m.KVCache + m.PromptCache + m.Adapters + m.Overhead + m.Shared).CeilTo(MiB)
}
