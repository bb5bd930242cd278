package nodeclaim

import (
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/sim"
	"kaito.sh/kaito/internal/nodeclaim"
)

func TestMissedDeadlinesReplaceTheMachineThreeTimes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  sim.Fault
		reason string
		// each machine takes at least so long.
		each time.Duration
	}{
		"a node that does not show its GPUs": {sim.NeverGPU, nodeclaim.ReasonGPUNotReady, 20 * time.Minute},
		"a node that never joins":            {sim.NeverJoins, nodeclaim.ReasonNodeNotJoined, 15 * time.Minute},
		"a creation that does not end":       {sim.CreationStuck, nodeclaim.ReasonLaunchTimeout, 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cloud.Inject(c.fault, 1)
			w.create(claim("ws1"))
			w.after(c.each)
			if got := w.cloud.Creations(); got != 1 {
				t.Errorf("%d machines were made before the deadline", got)
			}
			w.after(10 * time.Minute)
			if got := w.cloud.Creations(); got != 2 {
				t.Errorf("%d machines were made a while after the first deadline, want 2: %s", got, w.told())
			}
			w.after(5 * c.each)
			w.is("ws1", nodeclaim.ConditionLaunched, "False/"+c.reason)
			w.says("ws1", nodeclaim.ConditionReady, "4 machines", "kaito.sh/retry")
			w.heard(c.reason, 4)
			if got := w.cloud.Machines(); len(got) != 0 {
				t.Errorf("a machine that is of no use goes on to cost: %+v", got)
			}
			w.after(24 * time.Hour)
			if got := w.cloud.Creations(); got != 4 {
				t.Errorf("%d machines were made", got)
			}
			w.cloud.Clear()
			w.change("ws1", func(c *nodeclaim.NodeClaim) { metav1.SetMetaDataAnnotation(&c.ObjectMeta, "kaito.sh/retry", "1") })
			w.after(10 * time.Minute)
			w.is("ws1", nodeclaim.ConditionReady, readyNow)
			w.ends("ws1")
		})
	}
}

func TestAMachineThatIsGoneBeforeItsNodeIsWholeIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]time.Duration{"while it is made": 30 * time.Second, "before it joins": 70 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.create(claim("ws1"))
			w.after(when)
			w.cloud.Vanish(node.KeyOf(cluster, string(c.UID)))
			w.after(10 * time.Minute)
			w.is("ws1", nodeclaim.ConditionReady, readyNow)
			w.heard(nodeclaim.ReasonMachineGone, 1)
			if got := w.cloud.Creations(); got != 2 {
				t.Errorf("%d machines were made", got)
			}
			w.ends("ws1")
		})
	}
}

// A cloud takes the node out with its machine. Whoever drains nodes then deletes the claim,
// as with any node that somebody deletes: the operator makes another.
func TestAMachineThatIsGoneAfterItsNodeHasJoinedTakesItsClaimAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.create(claim("ws1"))
	w.after(105 * time.Second)
	w.is("ws1", nodeclaim.ConditionRegistered, "True/Registered")
	w.cloud.Vanish(node.KeyOf(cluster, string(c.UID)))
	w.after(5 * time.Minute)
	w.gone()
}

// jumping is a clock whose hands can be set: Since goes by another that does not jump.
type jumping struct {
	clock.WithTicker

	mu     sync.Mutex
	ahead  time.Duration
	handed map[time.Time]time.Time
}

func (j *jumping) Now() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	real := j.WithTicker.Now()
	shown := real.Add(j.ahead)
	j.handed[shown] = real
	return shown
}

func (j *jumping) Since(t time.Time) time.Duration {
	j.mu.Lock()
	defer j.mu.Unlock()
	if real, ours := j.handed[t]; ours {
		return j.WithTicker.Now().Sub(real)
	}
	return j.WithTicker.Now().Add(j.ahead).Sub(t)
}

func (j *jumping) jump(d time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ahead += d
}

func TestAClockThatJumpsEndsNothing(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{"forward": 5 * time.Hour, "back": -5 * time.Hour} {
		for phase, when := range map[string]time.Duration{"while the machine is made": 20 * time.Second, "before the node joins": 70 * time.Second, "before the GPUs show": 105 * time.Second} {
			t.Run(name+" "+phase, func(t *testing.T) {
				t.Parallel()
				var j *jumping
				w := newWorld(t, func(o *Options, s *sim.Options) {
					j = &jumping{WithTicker: s.Clock, handed: map[time.Time]time.Time{}}
					o.Clock = j
				})
				w.create(claim("ws1"))
				w.after(when)
				j.jump(by)
				w.after(10 * time.Minute)
				w.is("ws1", nodeclaim.ConditionReady, readyNow)
				if got := w.cloud.Creations(); got != 1 || len(w.events) > 0 {
					t.Errorf("%d machines were made: %q", got, w.events)
				}
				w.ends("ws1")
			})
		}
	}
}

func TestAWaitThatAWrongClockWroteDoesNotLast(t *testing.T) {
	t.Parallel()
	var j *jumping
	w := newWorld(t, func(o *Options, s *sim.Options) {
		j = &jumping{WithTicker: s.Clock, handed: map[time.Time]time.Time{}, ahead: 1000 * time.Hour}
		o.Clock = j
	})
	w.cloud.Inject(sim.NoCapacity, 1)
	w.create(claim("ws1"))
	w.after(30 * time.Second)
	w.is("ws1", nodeclaim.ConditionLaunched, "Unknown/CapacityExhausted")
	w.cloud.Clear()
	j.jump(-1000 * time.Hour)
	w.restart()
	w.after(5 * time.Minute)
	w.is("ws1", nodeclaim.ConditionReady, readyNow)
}

// An object of an earlier version of the CRD may take no status at all (gpu-provisioner #280).
func TestAClaimThatTakesNoStatusCanBeDeleted(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]time.Duration{"while the machine is made": 20 * time.Second, "when all is ready": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(claim("ws1"))
			w.after(when)
			w.store.refuse = true
			w.cloud.Inject(sim.Refused, 1) // which a status would have to tell
			w.delete("ws1")
			w.after(10 * time.Minute)
			w.cloud.Clear()
			w.after(30 * time.Minute)
			w.gone()
		})
	}
}

func TestWhatKeepsAMachineFromBeingRemovedIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(claim("ws1"))
	w.after(20 * time.Second)
	w.cloud.Inject(sim.Refused, 1)
	w.delete("ws1")
	w.after(time.Minute)
	w.is("ws1", conditionTerminating, "Unknown/AuthFailed")
	w.says("ws1", conditionTerminating, "cannot be removed yet", "role")
	w.cloud.Clear()
	w.after(10 * time.Minute)
	w.gone()
}

// A node that cannot be drained does not keep its machine for ever.
func TestADrainThatDoesNotEndIsCutShort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(claim("ws1"))
	w.after(5 * time.Minute)
	w.blocked = true
	w.delete("ws1")
	w.after(50 * time.Minute)
	if w.get("ws1") == nil || len(w.cloud.Machines()) != 1 {
		t.Fatalf("the machine goes under a node that is being drained: %s", w.told())
	}
	w.after(15 * time.Minute)
	if w.get("ws1") != nil || len(w.cloud.Machines()) != 0 {
		t.Errorf("the machine stays for a drain that does not end: %s", w.told())
	}
}

func TestAClaimSaysHowLongItsNodeMayBeDrained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(claim("ws1", func(c *nodeclaim.NodeClaim) { c.Spec.TerminationGracePeriod = &metav1.Duration{Duration: time.Hour} }))
	w.after(5 * time.Minute)
	w.blocked = true
	w.delete("ws1")
	w.after(10 * time.Second)
	c := w.get("ws1")
	if got, want := c.Annotations[annotationTermination], c.DeletionTimestamp.Add(time.Hour).Format(time.RFC3339); got != want {
		t.Errorf("the node may be drained until %q, want %q", got, want)
	}
	w.blocked = false
	w.after(5 * time.Minute)
	w.gone()
}

// A node that belongs to a machine which is made again lets go first: whoever drains nodes
// would delete the claim with it. And the next machine is asked for when no node is left.
func TestAMachineIsMadeAgainWithoutItsOldNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cloud.Inject(sim.NeverGPU, 1)
	w.create(claim("ws1"))
	removed, asked := 0, 0
	w.before = func(what string) {
		nodes := w.store.nodes()
		switch {
		case what == "remove" && len(nodes) > 0:
			removed++
			c := w.get("ws1")
			if controllerutil.ContainsFinalizer(nodes[0], nodeclaim.Finalizer) || c.Status.ProviderID != "" || nodeclaim.IsTrue(c, nodeclaim.ConditionRegistered) {
				t.Errorf("the machine is removed while its node holds on to the claim: %s", w.told())
			}
		case what == "ensure":
			if asked++; asked > 1 && len(nodes) > 0 {
				t.Errorf("the next machine is asked for while the node of the last is there: %s", w.told())
			}
		}
	}
	w.after(30 * time.Minute)
	if removed == 0 || asked != 2 {
		t.Errorf("the machine was removed under its node %d times, and %d were asked for", removed, asked)
	}
}
