// Package sim is a provider without a cloud: machines that become Node objects after a
// while, with faults on demand. Times come from an injected clock and chance from a seed,
// so that the same calls have the same answers.
package sim

import (
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/node"
)

// Label is carried by the node of a machine, and by no other: its value is the key.
const Label = "sim.kaito.sh/machine"

// annotationRecord is what a cloud would remember of a machine, on its node.
const annotationRecord = "sim.kaito.sh/record"

// ResourceGPU is what the simulator's GPUs are called on a node.
const ResourceGPU corev1.ResourceName = "nvidia.com/gpu"

// Delays are how long things take.
type Delays struct {
	// Create is from the request to a machine that is ready, Join until its node joins after
	// that, Ready until the node is ready after that, GPU until its GPUs show after that.
	Create, Join, Ready, GPU time.Duration
	// Remove is from the request for removal until the machine is gone.
	Remove time.Duration
	// SpotLife is how long a spot machine lives under SpotLoss, after it was made.
	SpotLife time.Duration
}

// Options are what a Cloud is made of.
type Options struct {
	// Clock is the cloud's; Start takes its ticks.
	Clock clock.WithTicker
	// Seed decides what chance brings.
	Seed uint64
	// Instances are the types that are sold, or were.
	Instances *instance.Table
	// Delays are how long things take.
	Delays Delays
	// Client writes nodes and leases. Nil: machines never become nodes.
	Client client.Client
	// LeaseEvery is how often a kubelet says that it is alive, 0 is never.
	LeaseEvery time.Duration
	// Tokens makes the provider give tokens.
	Tokens bool
	// HideProviderID keeps the ids of nodes from the provisioner until they join.
	HideProviderID bool
}

// Cloud is a cloud in memory. It outlives its providers, as a cloud does.
type Cloud struct {
	o Options

	mu       sync.Mutex
	chance   *rand.Rand
	faults   map[Fault]float64
	machines map[node.Key]*machine
	// gone are nodes whose machine is gone.
	gone map[string]bool
	// serial numbers machines.
	serial           int
	calls, creations int
}

// machine is one machine and its fate, which is decided when it is asked for.
type machine struct {
	key    node.Key
	owner  node.Owner
	offer  node.Offer
	shape  node.Shape
	serial int

	asked time.Time
	// made, joins, readies and gpus are when it comes to pass; the zero time is never.
	made, joins, readies, gpus time.Time
	// failure is why it is not made.
	failure *node.Error
	// lost is when the cloud takes a spot machine back.
	lost time.Time
	// removing says that its removal was asked for, and ends when.
	removing bool
	ends     time.Time
	// slow removals end when nothing is slow any more.
	slow bool
	// shown is what the cluster has seen of its node since it last started, seen that it has seen it at all.
	shown stage
	seen  bool
}

// New makes a cloud without machines.
func New(o Options) *Cloud {
	return &Cloud{
		o: o, chance: rand.New(rand.NewPCG(o.Seed, 1)), faults: map[Fault]float64{}, //nolint:gosec // chance that repeats is the point
		machines: map[node.Key]*machine{}, gone: map[string]bool{},
	}
}

// Calls is how often the cloud was called, except for calls that did not arrive.
func (c *Cloud) Calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// Creations is how often the cloud began to make a machine.
func (c *Cloud) Creations() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.creations
}

// Put places a machine that is ready, whoever it belongs to.
func (c *Cloud) Put(key node.Key, owner node.Owner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.o.Clock.Now()
	c.machines[key] = &machine{key: key, owner: owner, asked: now, made: now}
}

// Vanish takes a machine away, as a cloud does with spot machines and people by mistake.
func (c *Cloud) Vanish(key node.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(key)
}

// Machines are all machines, of any owner and in any state.
func (c *Cloud) Machines() []node.Observed {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pass()
	all := make([]node.Observed, 0, len(c.machines))
	for _, m := range c.machines {
		all = append(all, c.observed(m))
	}
	return all
}

// Present says whether a machine stands there, in any state and of any owner.
func (c *Cloud) Present(key node.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pass()
	return c.machines[key] != nil
}

// pass lets happen what time has brought; the lock is held.
func (c *Cloud) pass() {
	now := c.o.Clock.Now()
	for key, m := range c.machines {
		if due(m.ends, now) && m.removing && (!m.slow || c.faults[DeletionSlow] == 0) || due(m.lost, now) {
			c.end(key)
		}
	}
}

// end forgets a machine and remembers that its node is to go; the lock is held.
func (c *Cloud) end(key node.Key) {
	if m := c.machines[key]; m != nil && m.seen {
		c.gone[nodeName(key)] = true
	}
	delete(c.machines, key)
}

// due says whether a moment has come; the zero time never does.
func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// state is where a machine stands now; the lock is held.
func (c *Cloud) state(m *machine) node.State {
	now := c.o.Clock.Now()
	switch {
	case m.removing:
		return node.Deleting
	case !due(m.made, now):
		return node.Creating
	case m.failure != nil:
		return node.Failed
	default:
		return node.Ready
	}
}

// make begins to make a machine and decides its fate; the lock is held.
func (c *Cloud) make(r node.Request) *machine {
	now, d := c.o.Clock.Now(), c.o.Delays
	c.serial++
	c.creations++
	m := &machine{key: r.Key, owner: r.Owner, offer: r.Offer, shape: r.Shape, serial: c.serial, asked: now}
	c.machines[r.Key] = m
	if c.hit(CreationStuck) {
		return m
	}
	m.made = now.Add(d.Create)
	if c.hit(CreationFails) {
		m.failure = capacity(r.Offer)
		return m
	}
	if r.Offer.CapacityType == spot && c.hit(SpotLoss) {
		m.lost = m.made.Add(d.SpotLife)
	}
	if c.hit(NeverJoins) {
		return m
	}
	m.joins = m.made.Add(d.Join)
	c.boot(m, m.joins)
	return m
}

// boot decides when a node is ready after it has started; the lock is held.
func (c *Cloud) boot(m *machine, start time.Time) {
	m.readies, m.gpus = start.Add(c.o.Delays.Ready), time.Time{}
	if m.offer.GPUs > 0 && !c.hit(NeverGPU) {
		m.gpus = m.readies.Add(c.o.Delays.GPU)
	}
}
