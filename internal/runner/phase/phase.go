// Package phase knows where a serving pod stands on its way from process start
// to stop, and how long each part of the way took.
package phase

import (
	"slices"
	"sync"
	"time"
)

// Phase is one part of a serving pod's life.
type Phase string

// The phases in the order in which a pod goes through them. Unhealthy and Ready may alternate.
const (
	// Checking: contract and files are looked at; the engine is not started.
	Checking Phase = "checking"
	// Fetching: the weights are brought in from a registry or a hub.
	Fetching Phase = "fetching"
	// Gathering: the pod could start its engine and waits for the others of its group.
	Gathering Phase = "gathering"
	// Starting: the engine's process runs and its port does not answer.
	Starting Phase = "starting"
	// Loading: the engine answers that it is not ready: it loads the model.
	Loading Phase = "loading"
	// Ready: the engine can answer requests.
	Ready Phase = "ready"
	// Unhealthy: the engine was ready and now says that it is not.
	Unhealthy Phase = "unhealthy"
	// Draining: the runner was told to stop and lets requests in flight finish.
	Draining Phase = "draining"
)

// StartUp lists the phases that a pod passes before it is first ready.
func StartUp() []Phase { return []Phase{Checking, Fetching, Gathering, Starting, Loading} }

// Timeline records when each phase was entered. It is safe for concurrent use.
type Timeline struct {
	now     func() time.Time
	started time.Time

	mu      sync.Mutex
	current Phase
	entered map[Phase]time.Time
}

// New begins a timeline in phase Checking at the moment when the process started.
func New(now func() time.Time, started time.Time) *Timeline {
	return &Timeline{
		now: now, started: started, current: Checking,
		entered: map[Phase]time.Time{Checking: started},
	}
}

// Enter goes to a phase. Draining is final, and those of a start never come
// after Ready: both are ignored then.
func (t *Timeline) Enter(p Phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, served := t.entered[Ready]
	if t.current == Draining || (served && slices.Contains(StartUp(), p)) {
		return
	}
	t.current = p
	if _, ok := t.entered[p]; !ok {
		t.entered[p] = t.now()
	}
}

// Current is the phase now.
func (t *Timeline) Current() Phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

// Served says whether the pod was ever ready.
func (t *Timeline) Served() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, served := t.entered[Ready]
	return served
}

// Seconds is how long each start-up phase took; one that goes on counts up to now,
// one that was skipped or not reached is absent. Total is the sum.
func (t *Timeline) Seconds() (parts map[Phase]float64, total float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	end, done := t.entered[Ready]
	if !done {
		end = t.now()
	}
	parts = map[Phase]float64{}
	ways := StartUp()
	for i, p := range ways {
		from, ok := t.entered[p]
		if !ok {
			continue
		}
		to := end
		for _, next := range ways[i+1:] {
			if at, ok := t.entered[next]; ok {
				to = at
				break
			}
		}
		parts[p] = to.Sub(from).Seconds()
	}
	return parts, end.Sub(t.started).Seconds()
}
