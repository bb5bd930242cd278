package group

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// FollowerOptions are what a follower gets from outside.
type FollowerOptions struct {
	// URL is where the leader hears reports.
	URL string
	// Place is which of the pods it is, from 1.
	Place int
	// Run names this process, Digest what it was told to serve.
	Run, Digest string
	// Beat is how often it reports, Silence how long the leader may not answer.
	Beat, Silence time.Duration
	// Now is the clock.
	Now func() time.Time
	// Client sends the reports.
	Client *http.Client
}

// Follower reports to the leader. It is safe for concurrent use.
type Follower struct {
	o     FollowerOptions
	start chan struct{}
	ended chan struct{}

	mu      sync.Mutex
	state   State
	leader  string // the run to which the engine belongs
	heard   time.Time
	why     string // what was wrong the last time
	serving bool
	cause   error
}

// NewFollower makes a follower that brings its weights.
func NewFollower(o FollowerOptions) *Follower {
	return &Follower{o: o, start: make(chan struct{}), ended: make(chan struct{}), state: Preparing, heard: o.Now()}
}

// Prepared says that it could start its engine.
func (f *Follower) Prepared() { f.become(Waiting) }

// Leave says that it was told to stop; it still reports.
func (f *Follower) Leave() { f.become(Leaving) }

func (f *Follower) become(s State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = s
}

// Start is closed once the engine may start.
func (f *Follower) Start() <-chan struct{} { return f.start }

// Ended is closed once the group has ended; Cause says why.
func (f *Follower) Ended() <-chan struct{} { return f.ended }

// Cause is why the group has ended, a *BrokenError.
func (f *Follower) Cause() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cause
}

// Serving says whether the group answers requests, and what is wrong with the leader where
// it could not be heard.
func (f *Follower) Serving() (serving bool, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.serving, f.why
}

// Watch reports again and again, until ctx or the group ends.
func (f *Follower) Watch(ctx context.Context) {
	tick := time.NewTicker(f.o.Beat)
	defer tick.Stop()
	for {
		f.report(ctx)
		select {
		case <-ctx.Done():
			return
		case <-f.ended:
			return
		case <-tick.C:
		}
	}
}

// report sends one report and takes the order that comes back.
func (f *Follower) report(ctx context.Context) {
	f.mu.Lock()
	said := Report{Place: f.o.Place, Run: f.o.Run, Digest: f.o.Digest, State: f.state}
	f.mu.Unlock()
	order, why, err := f.send(ctx, said)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		why = err.Error()
	}
	f.why = why
	switch {
	case ctx.Err() != nil:
	case why == "":
		f.heard, f.serving = f.o.Now(), order.Serving
		f.obey(order)
	case err == nil && f.leader != "":
		// The leader answers, and knows nothing of this group.
		f.end(&BrokenError{0, "says that the group has ended"})
	case f.leader != "" && f.o.Now().Sub(f.heard) > f.o.Silence:
		f.end(&BrokenError{0, fmt.Sprintf("has not answered for %d seconds", int(f.o.Silence.Seconds()))})
	}
}

// obey takes an order; the lock is held.
func (f *Follower) obey(order Order) {
	switch {
	case f.leader == "" && order.Start && f.state == Waiting:
		f.leader, f.state = order.Run, Running
		close(f.start)
	case f.leader != "" && order.Run != f.leader:
		f.end(&BrokenError{0, "has started again"})
	}
}

// end remembers the first reason; the lock is held.
func (f *Follower) end(cause error) {
	if f.cause == nil {
		f.cause, f.serving = cause, false
		close(f.ended)
	}
}

// send says why the leader did not take a report, where it answered.
func (f *Follower) send(ctx context.Context, said Report) (order Order, why string, err error) {
	body, err := json.Marshal(said)
	if err != nil {
		return order, "", fmt.Errorf("encode a report: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.o.URL, bytes.NewReader(body))
	if err != nil {
		return order, "", fmt.Errorf("report to the leader: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.o.Client.Do(req)
	if err != nil {
		return order, "", fmt.Errorf("report to the leader: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxReport))
	if err != nil {
		return order, "", fmt.Errorf("read the leader's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return order, strings.TrimSpace(string(answer)), nil
	}
	if err := json.Unmarshal(answer, &order); err != nil || order.Run == "" {
		return order, "", fmt.Errorf("read the leader's answer: %q is no order", answer)
	}
	return order, "", nil
}
