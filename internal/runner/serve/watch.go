package serve

import (
	"context"
	"net/http"
	"time"

	"kaito.sh/kaito/internal/runner/phase"
)

// How a ready engine is watched. One that does not answer in time is taken for busy,
// not for dead: its process is watched too, and killing a loaded server helps nobody.
const (
	watchPatience = 5 * time.Second
	watchStrikes  = 3
)

// watch follows the engine's health until ctx ends.
func (s *server) watch(ctx context.Context) {
	strikes := 0
	wait := s.Poll
	for {
		code, err := s.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && code == http.StatusOK:
			strikes, wait = 0, s.Watch
			s.nowReady()
		case !s.timeline.Served():
			if err == nil {
				s.timeline.Enter(phase.Loading)
			}
		case err == nil:
			strikes++
			wait = s.Poll
			if strikes >= watchStrikes && s.timeline.Current() == phase.Ready {
				s.Log.Error("engine is no longer healthy", "path", s.Contract.Engine.HealthPath, "code", code)
				s.timeline.Enter(phase.Unhealthy)
			}
		}
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// nowReady notes that the engine answered 200.
func (s *server) nowReady() {
	before := s.timeline.Current()
	s.timeline.Enter(phase.Ready)
	if before == phase.Ready || before == phase.Draining {
		return
	}
	parts, total := s.timeline.Seconds()
	s.Log.Info("engine is ready", "before", before, "checking", parts[phase.Checking], "fetching", parts[phase.Fetching],
		"starting", parts[phase.Starting], "loading", parts[phase.Loading], "total", total)
}

// ask asks the engine's health path once.
func (s *server) ask(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	return s.engine.Status(ctx, s.Contract.Engine.HealthPath)
}
