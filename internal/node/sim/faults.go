package sim

import (
	"fmt"
	"strings"
	"time"

	"kaito.sh/kaito/internal/node"
)

// Fault is something that the cloud does wrong, from Inject to Clear.
type Fault string

// The faults. Those of creation are decided when a machine is asked for.
const (
	QuotaZero     Fault = "QuotaZero"
	QuotaFull     Fault = "QuotaFull"
	NoCapacity    Fault = "NoCapacity"
	NotSold       Fault = "NotSold"
	Throttled     Fault = "Throttled"
	Refused       Fault = "Refused"
	NoCluster     Fault = "NoCluster"
	Unreachable   Fault = "Unreachable"
	AnswerLost    Fault = "AnswerLost"
	Busy          Fault = "Busy"
	CreationFails Fault = "CreationFails"
	CreationStuck Fault = "CreationStuck"
	DeletionSlow  Fault = "DeletionSlow"
	// NeverJoins: the machine is ready, and no node comes of it.
	NeverJoins Fault = "NeverJoins"
	// NeverGPU: the node is ready, and its GPUs do not show.
	NeverGPU Fault = "NeverGPU"
	// SpotLoss: spot machines are taken back after Delays.SpotLife.
	SpotLoss Fault = "SpotLoss"
)

// Faults are all faults.
func Faults() []Fault {
	return []Fault{
		QuotaZero, QuotaFull, NoCapacity, NotSold, Throttled, Refused, NoCluster, Unreachable, AnswerLost, Busy,
		CreationFails, CreationStuck, DeletionSlow, NeverJoins, NeverGPU, SpotLoss,
	}
}

// throttleTime is how long a throttled provider is to be silent.
const throttleTime = 30 * time.Second

// Inject starts a fault, which then happens with a probability between 0 and 1.
func (c *Cloud) Inject(f Fault, probability float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[f] = probability
}

// Clear ends all faults. What was stuck stays so.
func (c *Cloud) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.faults)
}

// hit says whether a fault happens now; the lock is held.
func (c *Cloud) hit(f Fault) bool {
	p := c.faults[f]
	return p >= 1 || p > 0 && c.chance.Float64() < p
}

// refusal is why the cloud does not begin to make a machine, or nil; the lock is held.
func (c *Cloud) refusal(o node.Offer) *node.Error {
	t, known := c.sold(o.InstanceType)
	switch {
	case c.hit(Busy):
		return busy()
	case !known || t.retired:
		return &node.Error{
			Class: node.SKUUnavailable, Code: "SkuRetired", Message: fmt.Sprintf("The instance type %s is no longer sold.", o.InstanceType),
			Fix: c.instead(o.InstanceType),
		}
	case c.hit(NotSold):
		return &node.Error{
			Class: node.SKUUnavailable, Code: "SkuNotAvailable", Message: fmt.Sprintf("The instance type %s is not sold here.", o.InstanceType),
			Fix: "Ask for another instance type.",
		}
	case c.hit(QuotaZero):
		return &node.Error{
			Class: node.Quota, Zero: true, Code: "QuotaExceeded", Message: fmt.Sprintf("The account may have 0 of %s.", o.InstanceType),
			Fix: "Ask the cloud for quota, or for another instance type.",
		}
	case c.hit(QuotaFull):
		return &node.Error{
			Class: node.Quota, Code: "QuotaExceeded", Message: fmt.Sprintf("The account's quota for %s is used up.", o.InstanceType),
			Fix: "Remove what is not needed, or ask the cloud for more quota.",
		}
	case c.hit(NoCapacity):
		return capacity(o)
	default:
		return nil
	}
}

// instead says what may be asked for instead of a type.
func (c *Cloud) instead(name string) string {
	if next := c.o.Instances.Successors(name); len(next) > 0 {
		return fmt.Sprintf("Ask for %s.", strings.Join(next, " or "))
	}
	return "Ask for another instance type."
}

func capacity(o node.Offer) *node.Error {
	return &node.Error{
		Class: node.Capacity, Code: "AllocationFailed", Message: fmt.Sprintf("There is no %s machine of the type %s to be had now.", o.CapacityType, o.InstanceType),
		Fix: "Ask for another instance type, or wait.",
	}
}

func busy() *node.Error {
	return &node.Error{Class: node.Conflict, Code: "OperationNotAllowed", Message: "Another operation is in progress."}
}
