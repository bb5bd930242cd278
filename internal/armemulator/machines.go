package armemulator

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
)

// ErrGivenUp is what a machine's creation ends with when it is deleted meanwhile.
var ErrGivenUp = errors.New("the machine was given up")

// Machine is one virtual machine of a pool.
type Machine struct {
	// Node is its name, in Azure and in Kubernetes; ProviderID is what its node says.
	Node       string `json:"node"`
	ProviderID string `json:"providerID"`
	// ResourceID is the compute service's name of it.
	ResourceID string `json:"resourceID"`
	Pool       string `json:"pool"`
	Size       string `json:"size"`
	// GPUs is how many its node will show.
	GPUs int `json:"gpus,omitempty"`
	// GPUResource is what its device plugin calls them; empty is NVIDIA's.
	GPUResource string `json:"gpuResource,omitempty"`
	// Labels and Taints are what its node joins with; taints as key=value:effect.
	Labels map[string]string `json:"labels,omitempty"`
	Taints []string          `json:"taints,omitempty"`
	// Booted is true once it was made.
	Booted bool `json:"booted,omitempty"`
	// NoNode machines never join the cluster: nothing is made of them.
	NoNode bool `json:"noNode,omitempty"`
}

// Machines makes machines. Each callback comes exactly once, from any goroutine, perhaps
// before the call returns; it must not be called with a lock that Machines needs elsewhere.
type Machines interface {
	// Create starts a machine. Of one that is there already it says booted.
	Create(m Machine, booted func(error))
	// Delete removes one and gives up its creation; one that is not there is gone.
	Delete(m Machine, gone func(error))
}

// Memory are machines in memory, which boot at once unless they are held.
type Memory struct {
	mu      sync.Mutex
	held    bool
	there   map[string]Machine
	pending map[string]func(error)
	waiting map[string]Machine
	onBoot  func(Machine) error
	onGone  func(Machine)
}

// NewMemory are no machines.
func NewMemory() *Memory {
	return &Memory{there: map[string]Machine{}, pending: map[string]func(error){}, waiting: map[string]Machine{}}
}

// OnBoot is called for each machine before it counts as booted; an error makes it fail. It
// may read from the emulator and must not change anything there.
func (m *Memory) OnBoot(f func(Machine) error) { m.mu.Lock(); m.onBoot = f; m.mu.Unlock() }

// OnGone is called for each machine after it was deleted.
func (m *Memory) OnGone(f func(Machine)) { m.mu.Lock(); m.onGone = f; m.mu.Unlock() }

// Hold makes machines wait until Release before they boot.
func (m *Memory) Hold() { m.mu.Lock(); m.held = true; m.mu.Unlock() }

// Release lets those that wait boot, and the next ones at once.
func (m *Memory) Release() {
	m.mu.Lock()
	m.held = false
	waiting, pending := m.waiting, m.pending
	m.waiting, m.pending = map[string]Machine{}, map[string]func(error){}
	m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		pending[name](m.boot(waiting[name]))
	}
}

// There are the booted machines, by name.
func (m *Memory) There() []Machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.there), func(a, b Machine) int { return strings.Compare(a.Node, b.Node) })
}

// Create boots a machine now, or holds it.
func (m *Memory) Create(one Machine, booted func(error)) {
	m.mu.Lock()
	if m.held {
		m.pending[one.Node], m.waiting[one.Node] = booted, one
		m.mu.Unlock()
		return
	}
	m.mu.Unlock()
	booted(m.boot(one))
}

func (m *Memory) boot(one Machine) error {
	m.mu.Lock()
	hook := m.onBoot
	m.mu.Unlock()
	if hook != nil {
		if err := hook(one); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.there[one.Node] = one
	return nil
}

// Delete removes a machine.
func (m *Memory) Delete(one Machine, gone func(error)) {
	m.mu.Lock()
	booted, pending := m.pending[one.Node]
	_, was := m.there[one.Node]
	delete(m.pending, one.Node)
	delete(m.waiting, one.Node)
	delete(m.there, one.Node)
	hook := m.onGone
	m.mu.Unlock()
	if pending {
		booted(ErrGivenUp)
	}
	if was && hook != nil {
		hook(one)
	}
	gone(nil)
}
