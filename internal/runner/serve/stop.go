package serve

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/phase"
)

// drain stops in good order: /health turns to 503, after the grace no request is
// taken any more, those in flight finish within the limit, then the engine stops.
// A second signal cuts the waiting short.
func (s *server) drain(ctx context.Context, kills int) error {
	s.timeline.Enter(phase.Draining)
	if s.timeline.Served() {
		limit, cancel := context.WithTimeout(ctx, time.Duration(s.Contract.Limits.DrainSeconds)*time.Second)
		defer cancel()
		grace, cancel := context.WithTimeout(limit, s.Grace)
		defer cancel()
		if hurry, ended := s.pause(grace.Done(), limit.Done()); ended {
			return s.engineEnded(kills)
		} else if !hurry {
			if _, ended := s.pause(s.gate.Close(), limit.Done()); ended {
				return s.engineEnded(kills)
			}
		}
	}
	s.takeLeave(ctx)
	s.gate.Close()
	if n := s.gate.InFlight(); n > 0 {
		s.Log.Warn("requests in flight are cut", "requests", n, "limitSeconds", s.Contract.Limits.DrainSeconds)
	}
	willing, err := s.process.Stop(s.StopPatience)
	if err != nil {
		return s.end(ending.Internal, err.Error())
	}
	s.Log.Info("engine stopped", "willing", willing, "how", s.process.Exit().String())
	return nil
}

// pause waits until one of two channels is closed, and says whether a second signal
// asks to hurry or the engine has ended instead.
func (s *server) pause(done, limit <-chan struct{}) (hurry, ended bool) {
	for {
		select {
		case <-done:
			return false, false
		case <-limit:
			return false, false
		case <-s.process.Done():
			return false, true
		case sig := <-s.Signals:
			if ends(sig) {
				s.Log.Info("stop asked for again; requests in flight are not waited for", "signal", sig.String())
				return true, false
			}
			s.forward(sig)
		}
	}
}

// engineEnded tells how an engine that should have run ended.
func (s *server) engineEnded(kills int) error {
	exit := s.process.Exit()
	_ = s.process.Signal(syscall.SIGKILL) // what it left behind goes too
	e := s.end(ending.EngineExited, fmt.Sprintf("the engine %s %s while %s", s.Contract.Engine.Name, exit, s.timeline.Current()))
	e.ExitCode, e.Signal = exit.Code, int(exit.Signal)
	if exit.Signal == syscall.SIGKILL && s.MemoryKills() > kills {
		e.Reason = ending.OutOfMemory
		e.Message = fmt.Sprintf("the engine %s was killed while %s because the container used up its memory; give it more, or a smaller model or context",
			s.Contract.Engine.Name, s.timeline.Current())
	}
	return e
}

// final is an end that comes again until somebody changes something.
func (s *server) final(why ending.Reason, message string) *ending.Ending {
	return &ending.Ending{Reason: why, Message: message, ExitCode: ending.CodeConfig, Phase: string(s.timeline.Current())}
}

// end is an end with the engine's last lines.
func (s *server) end(why ending.Reason, message string) *ending.Ending {
	return &ending.Ending{
		Reason: why, Message: message, ExitCode: ending.CodeFailed,
		Phase: string(s.timeline.Current()), Lines: s.process.Tail(),
	}
}
