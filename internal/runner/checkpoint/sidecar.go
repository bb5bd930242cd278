package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/registry"
)

// After a push that failed, so many looks at the folder are let pass, twice as many each
// time; when the pod stops there is no time for long pauses.
const (
	firstRest = 5
	longRest  = 300
	lastRest  = 2
)

// lastWords is how long the registry may take to say whether the adapter is published.
const lastWords = 20 * time.Second

// Options are what the sidecar gets from outside.
type Options struct {
	// Open reads the push Secret, which may be renewed during a long run, and makes the
	// output of it.
	Open func() (*registry.Output, error)
	// RunID is that of the run.
	RunID string
	// Dir is the folder for checkpoints; it is only read.
	Dir string
	// Alive says whether a trainer may still write a checkpoint.
	Alive func(context.Context) bool
	// Ticks are when to look at the folder; about one a second.
	Ticks <-chan time.Time
	// Signals are those sent to the runner.
	Signals <-chan os.Signal
	// Patience is how long a push may take once the pod is told to stop.
	Patience time.Duration
	// Log hears of what was pushed, and of what could not be.
	Log *slog.Logger
}

// sidecar pushes one checkpoint at a time.
type sidecar struct {
	Options
	root             *os.Root
	pushed, inFlight int
	cancel           context.CancelFunc
	ended            chan outcome
	failures, rest   int
	hopeless         bool
	stopping, asked  bool
}

// outcome is what became of a push.
type outcome struct {
	step int
	err  error
}

// Run pushes the newest checkpoint whenever there is a new one, until the pod stops; what
// goes wrong with a push is logged and tried again. The kubelet stops a sidecar after the
// main container, but beside an init container, which the trainer is: told to stop, it
// waits until no trainer is alive and pushes what that has left. The error is about the
// folder.
func Run(ctx context.Context, o Options) error {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return fmt.Errorf("open the folder for checkpoints: %w", err)
	}
	defer func() { _ = root.Close() }()
	s := &sidecar{Options: o, root: root, ended: make(chan outcome, 1), cancel: func() {}}
	err = s.loop(ctx)
	s.cancel()
	if s.inFlight > 0 {
		s.settle(<-s.ended)
	}
	return err
}

func (s *sidecar) loop(ctx context.Context) error {
	var late <-chan time.Time
	for {
		done, err := s.look(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-late:
			s.Log.Warn("time is up", "pushed", s.pushed, "inFlight", s.inFlight)
			return nil
		case got := <-s.ended:
			s.settle(got)
		case <-s.Ticks:
			s.rest = max(0, s.rest-1)
		case sig := <-s.Signals:
			if s.stopping || !stops(sig) {
				continue
			}
			s.Log.Info("stop asked for", "why", sig.String(), "pushed", s.pushed, "inFlight", s.inFlight)
			s.stopping, s.rest = true, min(s.rest, lastRest)
			timer := time.NewTimer(s.Patience)
			defer timer.Stop()
			late = timer.C
		}
	}
}

// look makes one decision and acts on it.
func (s *sidecar) look(ctx context.Context) (done bool, err error) {
	// Asked first: what a trainer that is gone has left is then seen below.
	alive := !s.stopping || s.Alive(ctx)
	newest, err := Newest(s.root, s.RunID)
	if err != nil {
		return false, err
	}
	if !alive && !s.asked && newest > 0 {
		s.asked = true
		if s.published(ctx) {
			return true, nil
		}
	}
	switch decide(view{
		newest: newest, pushed: s.pushed, inFlight: s.inFlight, resting: s.rest > 0, hopeless: s.hopeless,
		stopping: s.stopping, alive: alive,
	}) {
	case push:
		s.push(ctx, newest)
	case replace:
		s.cancel()
	case leave:
		return true, nil
	case wait:
	}
	return false, nil
}

// published says whether the run's adapter is in the registry. Then its checkpoint is of
// no use any more, and publish, which removes it, may have done so before the last push.
func (s *sidecar) published(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	out, err := s.Open()
	if err != nil {
		return false
	}
	if _, ok, err := out.Published(ctx); err != nil || !ok {
		return false
	}
	s.cancel()
	if s.inFlight > 0 {
		s.settle(<-s.ended)
	}
	if err := out.RemoveCheckpoint(ctx); err != nil {
		s.Log.Warn("the checkpoint stays in the registry", "image", out.Checkpoint, "err", err)
	}
	return true
}

// push begins a push in the background.
func (s *sidecar) push(ctx context.Context, step int) {
	ctx, s.cancel = context.WithCancel(ctx)
	s.inFlight = step
	go func() { s.ended <- outcome{step: step, err: s.one(ctx, step)} }()
}

// settle notes what became of a push.
func (s *sidecar) settle(got outcome) {
	s.cancel()
	s.inFlight = 0
	var end *ending.Ending
	switch {
	case got.err == nil:
		s.pushed, s.failures, s.hopeless = got.step, 0, false
	case errors.Is(got.err, errGone), errors.Is(got.err, context.Canceled): // a newer one is there
	default:
		s.hopeless = !errors.As(got.err, &end) || end.Reason != ending.PushUnreachable
		s.rest = min(firstRest<<min(s.failures, 16), longRest)
		if s.failures++; s.stopping {
			s.rest = min(s.rest, lastRest)
		}
		s.Log.Warn("the checkpoint could not be pushed", "step", got.step, "err", got.err, "looksUntilNext", s.rest)
	}
}

// one pushes a checkpoint, unless the registry has it, and lets the one before go.
func (s *sidecar) one(ctx context.Context, step int) error {
	out, err := s.Open()
	if err != nil {
		return err //nolint:wrapcheck // an ending
	}
	files, err := open(s.root, s.RunID, step)
	if err != nil {
		return err
	}
	defer files.close()
	image, err := files.image(ctx, s.RunID)
	if err != nil {
		return err
	}
	notes, before, err := out.Look(ctx, out.Checkpoint)
	var access *oci.AccessError
	if err != nil && !errors.As(err, &access) { // who may push may not be allowed to look
		return out.Explain(ctx, err) //nolint:wrapcheck // an ending
	}
	if before == image.Digest() {
		return nil
	}
	digest, err := out.Client.PushImage(ctx, image, out.Checkpoint)
	if err != nil {
		return out.Explain(ctx, err) //nolint:wrapcheck // an ending
	}
	s.Log.Info("checkpoint pushed", "step", step, "image", out.Checkpoint, "digest", digest.String())
	if notes[annotationRun] == s.RunID {
		if err := out.Client.Delete(ctx, out.Digest(before.String())); err != nil {
			s.Log.Debug("the checkpoint before stays in the registry without a tag", "digest", before.String(), "err", err)
		}
	}
	return nil
}
