package model

import "fmt"

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
	// Disk is the allocatable ephemeral storage; 0 is not known.
	Disk Bytes
	// GPUs are the allocatable GPUs; all of a node are of one kind.
	GPUs GPUs
}

// GPUs are equal GPUs of one node.
type GPUs struct {
	// Count is their number; 0 is a node without GPUs.
	Count int
	// Product is what the vendor calls them, for messages.
	Product string
	// Kind is the label of the nodes that have GPUs of this kind.
	Kind Label
	// Memory is that of each GPU, as the driver shows it; 0 is not known.
	Memory Bytes
	// Capability is the compute capability; zero is not known.
	Capability Capability
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
