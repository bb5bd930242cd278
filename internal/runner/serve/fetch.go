package serve

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/phase"
)

// FetchFunc brings the weights in and reports how many bytes of them are there. An
// error that holds an *ending.Ending says itself how the run ends.
type FetchFunc func(ctx context.Context, report func(done, total int64)) error

// fetched is how much of the weights is there.
type fetched struct {
	done, total atomic.Int64
}

// bytes are nil where nothing is fetched.
func (f *fetched) bytes(used bool) (done, total *int64) {
	if !used {
		return nil, nil
	}
	d, t := f.done.Load(), f.total.Load()
	return &d, &t
}

// leavePatience is how long a fetch that was told to stop may take to leave; what it
// had written is found again by the next run in any case.
const leavePatience = time.Second

// fetch brings the weights in, if that is asked for. stopped says that a signal, or the
// end of ctx, came first.
func (s *server) fetch(ctx context.Context) (stopped bool, err error) {
	if s.Fetch == nil {
		return false, nil
	}
	s.timeline.Enter(phase.Fetching)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- s.Fetch(ctx, func(done, total int64) {
			s.fetched.total.Store(total)
			s.fetched.done.Store(done)
		})
	}()
	for {
		select {
		case err := <-done:
			if ctx.Err() != nil {
				return true, nil
			}
			return false, s.fetchFailed(err)
		case sig := <-s.Signals:
			if !ends(sig) {
				continue // meant for an engine that does not run yet
			}
			s.Log.Info("stop asked for while the weights are fetched", "signal", sig.String())
		case <-ctx.Done():
		}
		s.timeline.Enter(phase.Draining)
		cancel()
		limit := time.NewTimer(leavePatience)
		defer limit.Stop()
		select {
		case <-done: //nolint:errcheck // whatever it says, it was told to stop
		case <-limit.C:
		}
		return true, nil
	}
}

// fetchFailed gives the end its phase.
func (s *server) fetchFailed(err error) error {
	if err == nil {
		return nil
	}
	var end *ending.Ending
	if !errors.As(err, &end) {
		end = ending.From(err, "")
	}
	end.Phase = string(phase.Fetching)
	return end
}
