package model

// MilliCPU is an amount of processor time: 1000 is one core.
type MilliCPU int64

// Core is one core.
const Core MilliCPU = 1000

// NodeShape is what one node can give to pods.
type NodeShape struct {
	// Name names the node in messages.
	Name string
	// CPU is the allocatable processor time.
	CPU MilliCPU
	// Memory is the allocatable memory.
	Memory Bytes
}

// Plan is how a model is run on each of its nodes.
type Plan struct {
	// Model is the id of the model.
	Model string
	// Engine is the server that runs it.
	Engine string
	// Form is the form of the weights that the engine reads.
	Form Form
	// Nodes is the number of nodes.
	Nodes int
	// Context is the number of tokens that prompt and answer of one request share.
	Context int
	// Slots is the number of requests that are answered at once.
	Slots int
	// Threads is the number of threads that compute; never more than CPU has cores.
	Threads int
	// CPU is what the engine's container asks for and is limited to.
	CPU MilliCPU
	// Memory is what the engine's container asks for, by part.
	Memory Memory
}

// Memory is the memory of a plan by part.
type Memory struct {
	// Weights is the model itself.
	Weights Bytes
	// KVCache holds the tokens of all slots.
	KVCache Bytes
	// PromptCache keeps the state of finished conversations for their next turn.
	PromptCache Bytes
	// Overhead is what engine and runner need besides.
	Overhead Bytes
}

// Total is the sum of the parts in whole MiB.
func (m Memory) Total() Bytes {
	return (m.Weights + m.KVCache + m.PromptCache + m.Overhead).CeilTo(MiB)
}
