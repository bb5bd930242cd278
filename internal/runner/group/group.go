// Package group makes one server of the pods that serve a model together, one on each node.
//
// The engines of a group start together and end together: one that is lost cannot come back
// to the others, whose collective operations hang without it. So the runners agree: the
// leader's, at place 0, hears the others, and lets all engines start once each pod has its
// weights; one that is not heard any more, or comes back as another process, ends the group,
// and every runner ends its engine and itself. The kubelet starts the containers again, and
// the group forms anew. There is no other state, and nobody outside the pods takes part.
package group

import (
	"errors"
	"fmt"
	"time"
)

// State is where a follower stands.
type State string

const (
	// Preparing brings its weights.
	Preparing State = "preparing"
	// Waiting could start its engine.
	Waiting State = "waiting"
	// Running has started it.
	Running State = "running"
	// Leaving was told to stop, and keeps its engine until the leader has let requests end.
	Leaving State = "leaving"
)

// Report is what a follower says of itself, again and again.
type Report struct {
	// Place is which of the pods it is, from 1.
	Place int `json:"place"`
	// Run is the follower's process; another one has another.
	Run string `json:"run"`
	// Digest is that of what it was told to serve.
	Digest string `json:"digest"`
	// State is where it stands.
	State State `json:"state"`
}

// Order is the leader's answer.
type Order struct {
	// Run is the leader's process.
	Run string `json:"run"`
	// Start lets the follower start its engine.
	Start bool `json:"start"`
	// Serving is true while the group answers requests.
	Serving bool `json:"serving"`
}

// BrokenError says why a group has ended.
type BrokenError struct {
	// Place is the pod that is to blame, Why what became of it, such as "has started again".
	Place int
	Why   string
}

// Error says both.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("the pod at place %d of the group %s: all of them start again together", e.Place, e.Why)
}

// ErrLeaving says that a follower was told to stop: requests may end first.
var ErrLeaving = errors.New("a pod of the group was told to stop")

// StrangerError says why a report is not listened to.
type StrangerError struct{ Why string }

// Error is the reason.
func (e *StrangerError) Error() string { return e.Why }

// member is what the leader knows of a follower.
type member struct {
	run   string
	state State
	heard time.Time
}

// roll is the leader's list of followers. It is pure but for its own memory: time is told.
type roll struct {
	size    int
	digest  string
	silence time.Duration
	members map[int]member
	// prepared is true once the leader itself could start, started once all may.
	prepared, started bool
}

// hear takes a report, and says whether its sender may run. A *StrangerError is the sender's
// problem, a *BrokenError and ErrLeaving are the group's.
func (r *roll) hear(in Report, now time.Time) (run bool, err error) {
	last, known := r.members[in.Place]
	switch {
	case in.Place < 1 || in.Place >= r.size:
		return false, &StrangerError{fmt.Sprintf("place %d is none of a group of %d", in.Place, r.size)}
	case r.started && in.Run != last.run:
		return false, &BrokenError{in.Place, "has started again"}
	case in.Digest != r.digest:
		return false, &StrangerError{"it was told to serve something else: one of the pods is about to be replaced"}
	case in.State == Running && (!known || in.Run != last.run):
		return false, &StrangerError{"its engine belongs to an earlier group: start again"}
	}
	r.members[in.Place] = member{run: in.Run, state: in.State, heard: now}
	if r.started && in.State == Leaving {
		return true, ErrLeaving
	}
	r.muster(now)
	return r.started, nil
}

// muster lets all start where all could.
func (r *roll) muster(now time.Time) {
	if r.started || !r.prepared || r.present(now) < r.size-1 {
		return
	}
	r.started = true
}

// present is how many followers wait.
func (r *roll) present(now time.Time) int {
	n := 0
	for _, m := range r.members {
		if m.state == Waiting && now.Sub(m.heard) <= r.silence {
			n++
		}
	}
	return n
}

// missing are the places that are not heard, or do not wait yet, from the smallest.
func (r *roll) missing(now time.Time) []int {
	var all []int
	for place := 1; place < r.size; place++ {
		if m := r.members[place]; m.state != Waiting || now.Sub(m.heard) > r.silence {
			all = append(all, place)
		}
	}
	return all
}

// check says whether somebody of a started group has fallen silent.
func (r *roll) check(now time.Time) error {
	if !r.started {
		return nil
	}
	for place := 1; place < r.size; place++ {
		if quiet := now.Sub(r.members[place].heard); quiet > r.silence {
			return &BrokenError{place, fmt.Sprintf("has not been heard for %d seconds", int(r.silence.Seconds()))}
		}
	}
	return nil
}
