package group

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"
)

// maxReport bounds what is read of a report.
const maxReport = 4 << 10

// LeaderOptions are what a leader gets from outside.
type LeaderOptions struct {
	// Size is the number of pods, the leader's included.
	Size int
	// Run names this process, Digest what it was told to serve.
	Run, Digest string
	// Silence is how long a follower may say nothing.
	Silence time.Duration
	// Now is the clock.
	Now func() time.Time
	// Serving says whether the group answers requests.
	Serving func() bool
}

// Leader hears the followers. It is safe for concurrent use.
type Leader struct {
	o     LeaderOptions
	start chan struct{}
	ended chan struct{}

	mu    sync.Mutex
	roll  roll
	cause error
}

// NewLeader makes a leader that has heard nobody.
func NewLeader(o LeaderOptions) *Leader {
	return &Leader{
		o: o, start: make(chan struct{}), ended: make(chan struct{}),
		roll: roll{size: o.Size, digest: o.Digest, silence: o.Silence, members: map[int]member{}},
	}
}

// Prepared says that the leader itself could start its engine.
func (l *Leader) Prepared() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roll.prepared = true
	l.roll.muster(l.o.Now())
	l.letGo()
}

// letGo tells of a start; the lock is held.
func (l *Leader) letGo() {
	select {
	case <-l.start:
	default:
		if l.roll.started {
			close(l.start)
		}
	}
}

// Start is closed once all engines may start.
func (l *Leader) Start() <-chan struct{} { return l.start }

// Ended is closed once the group has ended; Cause says why.
func (l *Leader) Ended() <-chan struct{} { return l.ended }

// Cause is why the group has ended: a *BrokenError, or ErrLeaving.
func (l *Leader) Cause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// Missing are the places that could not start yet.
func (l *Leader) Missing() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.roll.missing(l.o.Now())
}

// end remembers the first reason; the lock is held.
func (l *Leader) end(cause error) {
	if l.cause == nil {
		l.cause = cause
		close(l.ended)
	}
}

// Watch looks again and again whether all followers are heard, until ctx ends.
func (l *Leader) Watch(ctx context.Context) {
	tick := time.NewTicker(max(time.Millisecond, l.o.Silence/10))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.mu.Lock()
			if err := l.roll.check(l.o.Now()); err != nil {
				l.end(err)
			}
			l.mu.Unlock()
		}
	}
}

// ServeHTTP takes the reports of followers.
func (l *Leader) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in Report
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReport)).Decode(&in); err != nil || r.Method != http.MethodPost {
		http.Error(w, "a report of a follower is sent with POST", http.StatusBadRequest)
		return
	}
	run, err := l.hear(in)
	var stranger *StrangerError
	switch {
	case errors.As(err, &stranger):
		http.Error(w, stranger.Why, http.StatusConflict)
		return
	case err != nil && !errors.Is(err, ErrLeaving):
		http.Error(w, err.Error(), http.StatusGone)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Order{Run: l.o.Run, Start: run, Serving: l.o.Serving()}) // a follower that has gone is missed later
}

func (l *Leader) hear(in Report) (run bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	run, err = l.roll.hear(in, l.o.Now())
	var stranger *StrangerError
	if err != nil && !errors.As(err, &stranger) {
		l.end(err)
	}
	l.letGo()
	return run, err
}
