package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/group"
	"kaito.sh/kaito/internal/runner/phase"
)

// Group is the part of a pod in a group.
type Group struct {
	// Place is which of the pods it is; the one at 0 leads.
	Place int
	// Listener is where the leader hears the others; nil of a follower.
	Listener net.Listener
	// URL is where a follower reports.
	URL string
	// Run names this process, Digest what it was told to serve.
	Run, Digest string
	// Beat is how often a follower reports, Silence how long a pod may not be heard.
	Beat, Silence time.Duration
}

// peers are the other pods of a group.
type peers interface {
	// Prepared says that this pod could start its engine.
	Prepared()
	// Start is closed once it may.
	Start() <-chan struct{}
	// Ended is closed once the group has ended; Cause says why.
	Ended() <-chan struct{}
	Cause() error
	// Watch keeps in touch until ctx ends.
	Watch(ctx context.Context)
}

// place is which of a group's pods this is; 0 of one that serves alone.
func (s *server) place() int {
	if s.Group == nil {
		return 0
	}
	return s.Group.Place
}

// follows is true of a pod that computes for another one, which answers.
func (s *server) follows() bool { return s.place() > 0 }

// meet begins to keep in touch with the other pods, if there are any. The function that it
// returns ends that.
func (s *server) meet(ctx context.Context, broken chan<- error) func() {
	g := s.Group
	if g == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	if s.follows() {
		s.peers = group.NewFollower(group.FollowerOptions{
			URL: g.URL, Place: g.Place, Run: g.Run, Digest: g.Digest, Beat: g.Beat, Silence: g.Silence, Now: s.Now,
			Client: &http.Client{Timeout: g.Silence / 2, Transport: &http.Transport{}},
		})
		go s.peers.Watch(ctx)
		return cancel
	}
	leader := group.NewLeader(group.LeaderOptions{
		Size: s.Contract.Group.Size, Run: g.Run, Digest: g.Digest, Silence: g.Silence, Now: s.Now, Serving: s.serving,
	})
	s.peers = leader
	web := &http.Server{Handler: leader, ReadHeaderTimeout: headerPatience, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug)}
	go func() {
		if err := web.Serve(g.Listener); !errors.Is(err, http.ErrServerClosed) {
			broken <- fmt.Errorf("hear the pods of the group: %w", err)
		}
	}()
	go leader.Watch(ctx)
	return func() {
		cancel()
		_ = web.Close()
	}
}

// serving is true while requests are answered, those of a pod that drains included.
func (s *server) serving() bool {
	now := s.timeline.Current()
	return now == phase.Ready || now == phase.Draining && s.timeline.Served()
}

// gather waits until all pods of a group could start. stopped says that a signal, or the end
// of ctx, came first.
func (s *server) gather(ctx context.Context) (stopped bool, err error) {
	if s.peers == nil {
		return false, nil
	}
	s.timeline.Enter(phase.Gathering)
	s.peers.Prepared()
	s.Log.Info("waiting for the other pods of the group", "place", s.place(), "size", s.Contract.Group.Size)
	again := time.NewTicker(s.Group.Silence)
	defer again.Stop()
	for {
		select {
		case <-s.peers.Start():
			return false, nil
		case <-s.peers.Ended():
			return false, &ending.Ending{Reason: ending.GroupBroken, Message: s.peers.Cause().Error(), ExitCode: ending.CodeFailed, Phase: string(phase.Gathering)}
		case sig := <-s.Signals:
			if !ends(sig) {
				continue // meant for an engine that does not run yet
			}
			s.Log.Info("stop asked for while the group gathers", "signal", sig.String())
			s.timeline.Enter(phase.Draining)
			return true, nil
		case <-ctx.Done():
			s.timeline.Enter(phase.Draining)
			return true, nil
		case <-again.C:
			s.tellWhoIsMissing()
		}
	}
}

// noMetrics is the page of an engine without an HTTP server.
func noMetrics(context.Context) ([]byte, error) { return nil, nil }

func (s *server) tellWhoIsMissing() {
	switch p := s.peers.(type) {
	case *group.Leader:
		s.Log.Info("pods of the group are missing", "places", p.Missing())
	case *group.Follower:
		_, why := p.Serving()
		s.Log.Info("the leader has not let the group start", "why", why)
	}
}

// groupEnded is closed once the group has ended; nil of a pod that serves alone.
func (s *server) groupEnded() <-chan struct{} {
	if s.peers == nil {
		return nil
	}
	return s.peers.Ended()
}

// groupLost ends an engine whose group has ended. Where a pod was only told to stop, requests
// end first: its engine goes on until then.
func (s *server) groupLost(ctx context.Context, kills int) error {
	cause := s.peers.Cause()
	if errors.Is(cause, group.ErrLeaving) {
		s.Log.Info("requests may end before the group does", "cause", cause.Error())
		return s.drain(ctx, kills)
	}
	s.Log.Error("the group has ended", "cause", cause.Error())
	if _, err := s.process.Stop(s.StopPatience); err != nil {
		return s.end(ending.Internal, err.Error())
	}
	return s.end(ending.GroupBroken, cause.Error())
}

// watchLeader follows, for a follower, whether the group answers.
func (s *server) watchLeader(ctx context.Context) {
	tick := time.NewTicker(s.Poll)
	defer tick.Stop()
	follower, ok := s.peers.(*group.Follower)
	for ok {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if serving, _ := follower.Serving(); serving {
				s.nowReady()
			}
		}
	}
}

// takeLeave lets the leader of a group end its requests before a follower's engine stops.
func (s *server) takeLeave(ctx context.Context) {
	follower, ok := s.peers.(*group.Follower)
	if !ok || !s.timeline.Served() {
		return
	}
	follower.Leave()
	limit, cancel := context.WithTimeout(ctx, time.Duration(s.Contract.Limits.DrainSeconds)*time.Second)
	defer cancel()
	tick := time.NewTicker(s.Poll)
	defer tick.Stop()
	for {
		select {
		case <-limit.Done():
			return
		case <-follower.Ended():
			return
		case <-s.process.Done():
			return
		case <-tick.C:
			if serving, why := follower.Serving(); !serving || why != "" {
				return
			}
		}
	}
}
