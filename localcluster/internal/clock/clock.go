// Package clock is the time of the launcher. It comes in through constructors,
// so that tests do not wait and no package below cmd reads the real clock.
package clock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Clock tells the time and waits.
type Clock struct {
	// Now is the current time.
	Now func() time.Time
	// After delivers once the duration has passed.
	After func(time.Duration) <-chan time.Time
}

// Sleep waits for d, or until ctx ends.
func (c Clock) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.After(d):
		return nil
	}
}

// TimeoutError says what did not come true in time.
type TimeoutError struct {
	// What was waited for.
	What string
	// Limit is how long.
	Limit time.Duration
	// Last is the last reason for which it was not yet true; may be nil.
	Last error
}

// Error says what was waited for, how long, and the last reason.
func (e *TimeoutError) Error() string {
	if e.Last == nil {
		return fmt.Sprintf("%s: not within %s", e.What, e.Limit)
	}
	return fmt.Sprintf("%s: not within %s: %v", e.What, e.Limit, e.Last)
}

// Unwrap is the last reason.
func (e *TimeoutError) Unwrap() error { return e.Last }

// final ends a wait at once.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// Final marks a reason that no further waiting will change.
func Final(err error) error { return final{err} }

// Wait describes one wait.
type Wait struct {
	// What is waited for, in words for the error.
	What string
	// Every is the pause between two looks.
	Every time.Duration
	// Limit is the longest wait.
	Limit time.Duration
}

// Until looks again and again until look answers nil, the limit has passed or ctx ends.
func (c Clock) Until(ctx context.Context, w Wait, look func(context.Context) error) error {
	begin := c.Now()
	for {
		last := look(ctx)
		if last == nil {
			return nil
		}
		var f final
		if errors.As(last, &f) {
			return fmt.Errorf("%s: %w", w.What, f.error)
		}
		if c.Now().Sub(begin) >= w.Limit {
			return &TimeoutError{What: w.What, Limit: w.Limit, Last: last}
		}
		if err := c.Sleep(ctx, w.Every); err != nil {
			return fmt.Errorf("%s: %w", w.What, err)
		}
	}
}
