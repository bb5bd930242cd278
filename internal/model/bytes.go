// Package model holds the nouns of the planner: what a model is, what a node
// offers, and the plan that brings the two together. It computes nothing but
// conversions and knows nothing of a cluster.
package model

import "fmt"

// Bytes is an amount of memory or storage.
type Bytes int64

// Units of Bytes.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// String prints an amount for people, in the largest unit that keeps it above 1.
func (b Bytes) String() string {
	switch {
	case b >= GiB || b <= -GiB:
		return fmt.Sprintf("%.1f GiB", float64(b)/float64(GiB))
	case b >= MiB || b <= -MiB:
		return fmt.Sprintf("%.0f MiB", float64(b)/float64(MiB))
	case b < KiB && b > -KiB:
		return fmt.Sprintf("%d bytes", int64(b))
	default:
		return fmt.Sprintf("%.0f KiB", float64(b)/float64(KiB))
	}
}

// CeilTo rounds up to a whole number of units.
func (b Bytes) CeilTo(unit Bytes) Bytes {
	return (b + unit - 1) / unit * unit
}
