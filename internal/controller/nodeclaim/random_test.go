package nodeclaim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kaito.sh/kaito/internal/controller/orphan"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/sim"
	"kaito.sh/kaito/internal/nodeclaim"
)

const (
	// interleavings of the random run, each with a seed of its own.
	interleavings = 10_000
	// moves of an interleaving before everything is left to come to rest.
	moves = 80
	// claimsAtOnce are the most that are created in one.
	claimsAtOnce = 2
)

// process is one replica in the middle of a pass, or idle. A pass stops before each of its
// requests until it is told to go on, or to end.
type process struct {
	lifecycle *Reconciler
	view      *view
	goOn      chan bool
	stopped   chan bool
	busy      bool
}

// start begins a pass, and returns when it stops or ends.
func (p *process) start(w *world, name string) {
	p.busy = true
	go func() {
		killed(func() {
			_, _ = p.lifecycle.Reconcile(quiet(w.Context()), ctrl.Request{NamespacedName: types.NamespacedName{Name: name}})
		})
		p.stopped <- true
	}()
	p.wait()
}

// wait waits until the pass stops, or ends.
func (p *process) wait() { p.busy = !<-p.stopped }

// move lets the pass make its next request, or ends the process before it.
func (p *process) move(live bool) {
	p.goOn <- live
	p.wait()
}

// mayhem is one interleaving.
type mayhem struct {
	*world

	chance  *rand.Rand
	procs   []*process
	sweeper *orphan.Sweeper
	created int
	errs    []error
	// did counts what happened.
	did map[string]int
}

// sweeps counts what the sweep removes.
type sweeps map[string]int

// OrphansSeen is none of its business.
func (sweeps) OrphansSeen(int, map[string]int) {}

// OrphanRemoved counts.
func (s sweeps) OrphanRemoved(bool) { s["machines swept"]++ }

func newMayhem(t testing.TB, seed uint64, did map[string]int) *mayhem {
	t.Helper()
	m := &mayhem{chance: rand.New(rand.NewPCG(seed, 7)), did: did}
	m.world = newWorld(t, func(o *Options, s *sim.Options) {
		o.Seed, s.Seed = seed, seed
		s.Delays.Create, s.Delays.Join, s.Delays.GPU, s.Delays.Remove = 20*time.Second, 10*time.Second, 10*time.Second, 10*time.Second
		s.Tokens, s.HideProviderID = m.chance.IntN(2) == 0, m.chance.IntN(2) == 0
		o.Deadlines.Launch, o.Deadlines.Registration, o.Deadlines.Initialization = 5*time.Minute, 5*time.Minute, 5*time.Minute
		o.Deadlines.Drain = 5 * time.Minute
	})
	m.crowded = true
	m.store.onGone = func(c *nodeclaim.NodeClaim) {
		// Unless its finalizer was torn off before, or another process asks at this very moment.
		if !m.foreign && (!m.procs[0].busy || !m.procs[1].busy) {
			m.errs = append(m.errs, m.hasMachine(c))
		}
	}
	for range 2 {
		m.procs = append(m.procs, m.process())
	}
	options := orphan.Defaults()
	options.Patience = 0
	m.sweeper = orphan.New(orphan.Inputs{
		Provider: m.cloud.Provider(), Cluster: cluster, Live: &view{store: m.store}, Recorder: m.world, Clock: m.clock,
		Log: logr.Discard(), Meter: sweeps(did), Options: options,
	})
	return m
}

// process begins a new process.
func (m *mayhem) process() *process {
	p := &process{goOn: make(chan bool), stopped: make(chan bool)}
	p.view = &view{store: m.store, before: func(string) {
		p.stopped <- false
		if !<-p.goOn {
			panic(errKilled)
		}
	}}
	p.lifecycle = m.replica(p.view)
	return p
}

// next makes one move.
func (m *mayhem) next() {
	p := m.procs[m.chance.IntN(len(m.procs))]
	switch roll := m.chance.IntN(100); {
	case roll < 55:
		m.step(p)
	case roll < 62:
		m.clock.Step(time.Duration(1+m.chance.IntN(90)) * time.Second)
	case roll < 72:
		_ = m.cloud.Step(m.Context())
	case roll < 76: // what it reads is from now on of this moment, or of every moment
		if p.view.old = nil; m.chance.IntN(2) == 0 {
			m.did["views grown old"]++
			p.view.old = m.store.snapshot()
		}
	case roll < 80:
		m.crash(p)
	case roll < 84:
		m.cloud.Inject(sim.Faults()[m.chance.IntN(len(sim.Faults()))], m.chance.Float64())
	case roll < 86:
		m.cloud.Clear()
	case roll < 88:
		m.others(m.drain)
	case roll < 91:
		_ = m.sweeper.Sweep(m.Context())
	default:
		m.others(m.user)
	}
}

// step makes the next request of a process, or begins a pass.
func (m *mayhem) step(p *process) {
	if p.busy {
		m.did["requests while another pass was under way"] += b2i(m.procs[0].busy && m.procs[1].busy)
		p.move(true)
		return
	}
	if all := m.store.claims(); len(all) > 0 {
		p.start(m.world, all[m.chance.IntN(len(all))].Name)
	}
}

// crash ends a process in the middle of its pass, and begins another.
func (m *mayhem) crash(p *process) {
	if p.busy {
		m.did["processes ended within a pass"]++
		p.move(false)
	}
	m.procs[slices.Index(m.procs, p)] = m.process()
}

// user does what people do: some of it they should not.
func (m *mayhem) user() {
	all := m.store.claims()
	if len(all) == 0 || m.created < claimsAtOnce && m.chance.IntN(3) == 0 {
		if m.created < claimsAtOnce {
			m.created++
			m.create(claim(fmt.Sprintf("ws%d", m.created), ofTypes(typeA, typeB), asSpot(m.chance.IntN(3) == 0)))
		}
		return
	}
	c := all[m.chance.IntN(len(all))].DeepCopy()
	switch m.chance.IntN(7) {
	case 0, 1:
		m.world.delete(c.Name)
	case 2: // the finalizer is torn off
		c.Finalizers = nil
		_ = m.store.patch(c, false)
	case 3:
		c.Annotations = map[string]string{} // as in an older state
		_ = m.store.patch(c, false)
	case 4:
		c.Status = nodeclaim.Status{}
		_ = m.store.patch(c, true)
	case 5:
		m.cloud.Vanish(node.KeyOf(cluster, string(c.UID)))
	default:
		for _, n := range m.store.nodes() {
			_ = (&view{store: m.store}).Delete(m.Context(), n)
		}
	}
}

func asSpot(is bool) func(*nodeclaim.NodeClaim) {
	return func(c *nodeclaim.NodeClaim) {
		if is {
			c.Spec.Requirements = append(c.Spec.Requirements, nodeclaim.Requirement{
				Key: nodeclaim.LabelCapacityType, Operator: "In", Values: []string{"spot"},
			})
		}
	}
}

// rest lets everything come to rest: passes end, faults too, and one process goes on.
func (m *mayhem) rest() {
	m.cloud.Clear()
	for _, p := range m.procs {
		p.view.old = nil
		for p.busy {
			p.move(true)
		}
	}
	m.restart()
}

// check is what is true at any time.
func (m *mayhem) check() error {
	alive := map[string]int{}
	for _, o := range m.cloud.Machines() {
		alive[o.Owner.ClaimUID]++
	}
	for uid, n := range alive {
		if n > 1 {
			return fmt.Errorf("claim %s has %d machines", uid, n)
		}
	}
	if m.cloud.Creations() > m.store.asks {
		return fmt.Errorf("%d machines were made, and %d requests noted", m.cloud.Creations(), m.store.asks)
	}
	return nil
}

// end is what is true in the end: first all that are claimed are there, or it is said why
// not; then, when nothing is claimed any more, nothing is left.
func (m *mayhem) end() error {
	m.rest()
	m.after(45 * time.Minute)
	for _, c := range m.store.claims() {
		ready, key := nodeclaim.Condition(c, nodeclaim.ConditionReady), node.KeyOf(cluster, string(c.UID))
		switch {
		case m.cloud.Present(key) && !controllerutil.ContainsFinalizer(c, nodeclaim.Finalizer):
			return fmt.Errorf("claim %s has a machine, and nothing keeps it from going before it", c.Name)
		case ready.Status == "True" && !m.cloud.Present(key) && !read(c).history.Final:
			// A machine that vanished under a claim that was ready is the repair's work, and Karpenter's.
		case ready.Status == "True":
			m.did["claims ready in the end"]++
		case ready.Status == "False" && ready.Reason != "":
		default:
			return fmt.Errorf("claim %s is neither ready nor refused: %+v", c.Name, ready)
		}
	}
	m.others(func() {
		for _, c := range m.store.claims() {
			m.world.delete(c.Name)
		}
	})
	for range 4 {
		m.after(6 * time.Minute)
		if err := m.sweeper.Sweep(m.Context()); err != nil {
			return err
		}
	}
	m.after(2 * time.Minute)
	if left := m.cloud.Machines(); len(left) > 0 {
		return fmt.Errorf("machines are left: %+v", left)
	}
	if left := m.store.claims(); len(left) > 0 {
		return fmt.Errorf("claims are left: %+v", left[0])
	}
	return nil
}

func run(t testing.TB, seed uint64, did map[string]int) error {
	t.Helper()
	m := newMayhem(t, seed, did)
	for range moves {
		m.next()
		m.errs = append(m.errs, m.check())
	}
	m.errs = append(m.errs, m.end(), m.check())
	did["machines made"] += m.cloud.Creations()
	did["conflicts"] += m.store.conflicts
	return errors.Join(m.errs...)
}

func TestNothingIsLeftWhateverHappens(t *testing.T) {
	t.Parallel()
	did := map[string]int{"machines swept": 0}
	for seed := range uint64(interleavings) {
		if err := run(t, seed, did); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(did)) {
		t.Logf("%s: %d", what, did[what])
		if did[what] == 0 {
			t.Errorf("it never came to %s: the run shows less than it says", what)
		}
	}
}

func b2i(is bool) int {
	if is {
		return 1
	}
	return 0
}
