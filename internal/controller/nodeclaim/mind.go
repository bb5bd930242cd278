package nodeclaim

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// mind is what a process remembers of claims. All of it may be lost at any time: then the
// cloud is asked once more, and a deadline is measured by what stands on the claim.
type mind struct {
	clock  clock.PassiveClock
	jitter func() float64

	mu     sync.Mutex
	claims map[string]*thought
}

// thought is what is remembered of one claim.
type thought struct {
	uid types.UID
	// last is what the cloud said last, at that time, and is good for so long, while mark stays.
	last *answer
	at   time.Time
	good time.Duration
	mark string
	// failures in a row make the waits longer.
	failures int
	// phase began to be measured at the time from, and had lasted for before by then.
	phase  string
	from   time.Time
	before time.Duration
}

func newMind(c clock.PassiveClock, jitter func() float64) *mind {
	return &mind{clock: c, jitter: jitter, claims: map[string]*thought{}}
}

// of is what is remembered of a claim; the lock is held.
func (m *mind) of(claim *nodeclaim.NodeClaim) *thought {
	t := m.claims[claim.Name]
	if t == nil || t.uid != claim.UID {
		t = &thought{uid: claim.UID}
		m.claims[claim.Name] = t
	}
	return t
}

// forget forgets a claim that is gone.
func (m *mind) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.claims, name)
}

// recall is the cloud's last answer, if it is still good.
func (m *mind) recall(claim *nodeclaim.NodeClaim) (answer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.of(claim)
	if t.last == nil || t.mark != markOf(claim) {
		return answer{}, false
	}
	// By the clock that does not jump.
	a := *t.last
	a.left = t.good - m.clock.Since(t.at)
	return a, a.left > 0
}

// learn remembers an answer for as long as it is good.
func (m *mind) learn(claim *nodeclaim.NodeClaim, p phase, a answer) answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.of(claim)
	switch {
	case a.err != nil:
		t.failures++
	case a.machine.State != node.Absent: // that there is nothing yet is no success
		t.failures = 0
	}
	a.left = time.Duration(float64(pace(p, a, t.failures)) * m.jitter())
	if a.err != nil && a.left < a.err.RetryAfter {
		a.left = a.err.RetryAfter
	}
	t.last, t.at, t.good, t.mark = &a, m.clock.Now(), a.left, markOf(claim)
	return a
}

// again makes the next pass ask the cloud.
func (m *mind) again(claim *nodeclaim.NodeClaim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(claim).last = nil
}

// How long the cloud is left alone after an answer.
const (
	paceMaking     = 5 * time.Second
	paceJoining    = 15 * time.Second
	paceWhole      = 30 * time.Second
	paceRemoving   = 5 * time.Second
	paceConflict   = 10 * time.Second
	paceConflicts  = time.Minute
	paceThrottled  = time.Minute
	paceTransient  = 5 * time.Second
	paceTransients = 5 * time.Minute
	paceAuth       = 5 * time.Minute
	paceLasting    = 30 * time.Minute
	paceLimit      = time.Minute
)

// pace is how long the cloud is left alone after an answer, which is the so manieth failure in a row.
func pace(p phase, a answer, failures int) time.Duration {
	if a.err == nil {
		switch {
		case p == phaseDeletion, a.machine.State == node.Deleting:
			return paceRemoving
		case a.machine.State != node.Ready:
			return paceMaking
		case p == phaseInitialization:
			return paceWhole
		default:
			return paceJoining
		}
	}
	switch a.err.Class {
	case node.Conflict:
		return growing(paceConflict, paceConflicts, failures-1)
	case node.Throttled:
		return max(a.err.RetryAfter, paceTransient)
	case node.Auth:
		return paceAuth
	case limitReached:
		return paceLimit
	case node.Transient:
		return growing(paceTransient, paceTransients, failures-1)
	default:
		return paceLasting
	}
}

// growing doubles from first to last.
func growing(first, last time.Duration, times int) time.Duration {
	const most = 16
	return min(last, first<<min(max(times, 0), most))
}

// spent is how long a claim has been in a phase that began at a time by the wall clock. The
// clock on the wall is believed once, when the phase is first seen; from there on time is
// measured by the clock that does not jump.
func (m *mind) spent(claim *nodeclaim.NodeClaim, phase string, since time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.of(claim)
	if t.phase != phase {
		t.phase, t.from, t.before = phase, m.clock.Now(), 0
		if !since.IsZero() {
			t.before = max(0, t.from.Sub(since))
		}
	}
	return t.before + m.clock.Since(t.from)
}
