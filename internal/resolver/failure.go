package resolver

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Why says what kind of failure it is.
type Why int

const (
	// Unreachable is a hub that does not answer, or not in time, or with an error of its own. It may pass.
	Unreachable Why = iota
	// Limited is a hub that wants fewer requests. It passes.
	Limited
	// Hidden is a repository that is not shown to strangers: gated, private, or none.
	Hidden
	// NotFound is a repository or revision that is not there.
	NotFound
	// Pickles is a model whose weights can run code when they are loaded, and nobody has allowed that.
	Pickles
	// Unusable is a model that cannot be run: no weights, pickles alone, facts that make no sense.
	Unusable
)

// Failure is why a model could not be read.
type Failure struct {
	// Why is its kind.
	Why Why
	// Message says it to the user: a sentence with a capital, without a clock.
	Message string
	// Wait is how long the hub asks us to wait; 0 is nothing.
	Wait time.Duration
}

// Error is the message.
func (f *Failure) Error() string { return f.Message }

// failureOf finds the failure in an error; one that is of no kind may pass.
func failureOf(err error, q Question) *Failure {
	var f *Failure
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return &Failure{Message: fmt.Sprintf("The hub does not answer in time about %s", q.Repository)}
	}
	return &Failure{Message: fmt.Sprintf("The hub does not answer about %s: %v", q.Repository, err)}
}

// wait is how long after a failure the same is asked again, after so many before it.
func (f *Failure) wait(before int) time.Duration {
	first, last := firstWait, lastWait
	if f.Why != Unreachable && f.Why != Limited {
		first, last = firstWaitSure, lastWaitSure
	}
	d := last
	if before < 10 { //nolint:mnd // doubled so often it is above the last already
		d = min(last, first<<before)
	}
	return min(max(d, f.Wait), longestWait)
}
