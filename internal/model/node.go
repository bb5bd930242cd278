package model

import "fmt"

// MilliCPU is an amount of processor time: 1000 is one core.
type MilliCPU int64

// Core is one core.
const Core MilliCPU = 1000

// Unpublished stands for an amount of memory (bytes) or processor time (thousandths of a core)
// that nobody says of a type of machine: more than any has.
const Unpublished = 1 << 50

// NodeShape is what one node can give to pods.
type NodeShape struct {
	// Name names the node in messages.
	Name string
	// CPU is the allocatable processor time.
	CPU MilliCPU
	// Memory is the allocatable memory.
	Memory Bytes
	// Disk is the allocatable ephemeral storage; 0 is not known.
	Disk Bytes
	// GPUs are the allocatable GPUs, all of one kind. A node that offers several kinds, such as
	// whole GPUs and slices, has a shape for each.
	GPUs GPUs
}

// GPUs are equal GPUs of one node.
type GPUs struct {
	// Count is their number; 0 is a node without GPUs.
	Count int
	// Taken is how many of them pods of others have, as far as that is known.
	Taken int
	// Resource is what pods ask for to get one; empty is ResourceNVIDIA.
	Resource string
	// Slice is the profile of the slices (NVIDIA multi-instance GPUs), such as 1g.10gb; each
	// is counted as a GPU of its own. Empty is whole GPUs.
	Slice string
	// Product is what the vendor calls them, for messages.
	Product string
	// Kind is the label of the nodes that have GPUs of this kind.
	Kind Label
	// Memory is that of each GPU, as the driver shows it; 0 is not known.
	Memory Bytes
	// Capability is NVIDIA's compute capability; zero is not known.
	Capability Capability
	// Target is the instruction set of AMD's GPUs, such as gfx942; empty is not known.
	Target string
}

// Nominal is what a driver shows, at the least, of a GPU that is sold with so much
// memory: a T4 of 16 GB shows 14.6 GiB.
func Nominal(gib float64) Bytes {
	const shownPercent = 91
	return Bytes(gib*float64(GiB)) * shownPercent / 100
}

// Label is a label of nodes with its value.
type Label struct{ Key, Value string }

// Capability is the compute capability of a GPU: which instructions it has.
type Capability struct{ Major, Minor int }

// AtLeast compares two capabilities.
func (c Capability) AtLeast(least Capability) bool {
	return c.Major > least.Major || c.Major == least.Major && c.Minor >= least.Minor
}

// Known is false for the zero value.
func (c Capability) Known() bool { return c.Major > 0 }

// String is as vendors write it.
func (c Capability) String() string { return fmt.Sprintf("%d.%d", c.Major, c.Minor) }
