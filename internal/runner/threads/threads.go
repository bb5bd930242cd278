// Package threads keeps the runner on one CPU at a time while that is enough. A request
// passes through several goroutines, and with more than one CPU each of them wakes a
// thread of its own: that takes nearly twice the CPU time, which is the engine's, and longer.
package threads

import (
	"context"
	"time"
)

// From this share of one CPU on all of them are used, and below the other one is again.
// They lie so far apart that what all of them waste does not move the runner to and fro.
const (
	busy = 0.6
	calm = 0.2
)

// Process is what can be asked and set of the running program.
type Process struct {
	// All is how many CPUs it may use.
	All int
	// Used is the CPU time that it has needed so far, without that of its children.
	Used func() time.Duration
	// Limit sets how many CPUs it works on at a time.
	Limit func(n int)
}

// Fit limits p to what it needs, at each tick by what it used since the one before,
// until ctx ends or no more ticks come.
func Fit(ctx context.Context, p Process, ticks <-chan time.Time) {
	n, before := 1, p.Used()
	p.Limit(n)
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case at, more := <-ticks:
			if !more {
				return
			}
			used := p.Used()
			if !last.IsZero() {
				if want := next(n, p.All, float64(used-before)/float64(at.Sub(last))); want != n {
					n = want
					p.Limit(n)
				}
			}
			last, before = at, used
		}
	}
}

// next is how many CPUs to use after a time in which n were allowed and this share of
// one was used.
func next(n, all int, share float64) int {
	switch {
	case share >= busy:
		return all
	case share < calm:
		return 1
	}
	return n
}
