// Package serve is the life of a serving pod: the port is open at once, the engine
// starts behind it, requests pass while it is ready, and at the end those in flight
// finish before the engine is stopped.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/engine"
	"kaito.sh/kaito/internal/runner/gate"
	"kaito.sh/kaito/internal/runner/metrics"
	"kaito.sh/kaito/internal/runner/phase"
	"kaito.sh/kaito/internal/runner/process"
)

// Options is everything that a serving runner gets from outside.
type Options struct {
	// Contract is what to serve.
	Contract contract.Serve
	// Listener is the open port.
	Listener net.Listener
	// Stdout and Stderr receive the engine's output.
	Stdout, Stderr io.Writer
	// Environ is the environment that the engine gets, before the contract's own variables.
	Environ []string
	// Signals are those sent to the runner.
	Signals <-chan os.Signal
	// Now is the clock, Started when the process began.
	Now     func() time.Time
	Started time.Time
	// Grace is how long new requests are taken after SIGTERM.
	Grace time.Duration
	// StopPatience is how long the engine may take to end before it is killed.
	StopPatience time.Duration
	// Poll is how often the engine's health is asked while it starts.
	Poll time.Duration
	// Watch is how often it is asked once the engine is ready.
	Watch time.Duration
	// Fetch brings the weights in before the engine starts; nil: they are there.
	Fetch FetchFunc
	// MemoryKills counts processes of this container that were killed for memory.
	MemoryKills func() int
	// Reap collects children other than the engine, whose process id it gets; nil does nothing.
	Reap func(enginePid int)
	// Group is the pod's part in a group; nil where the contract has none.
	Group *Group
	// Version is the runner's own.
	Version string
	// Log receives the runner's own messages.
	Log *slog.Logger
}

// server is one run.
type server struct {
	Options
	timeline *phase.Timeline
	gate     *gate.Gate
	engine   *engine.Client
	metrics  *metrics.Metrics
	handler  http.Handler
	process  *process.Process
	fetched  fetched
	// peers are the other pods of a group, or nil.
	peers peers
}

// headerPatience bounds how long a client may take to send its headers.
const headerPatience = 30 * time.Second

// Run serves until a signal or the engine ends it. It returns nil after a stop in good
// order, else an *ending.Ending. It closes the listener.
func Run(ctx context.Context, o Options) error {
	o.Contract.Limits = o.Contract.Limits.WithDefaults()
	base, err := url.Parse(o.Contract.Engine.URL)
	if err != nil {
		return &ending.Ending{Reason: ending.ConfigInvalid, Message: err.Error(), ExitCode: ending.CodeConfig, Phase: string(phase.Checking)}
	}
	s := &server{Options: o}
	s.build(base)
	web := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerPatience,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	broken := make(chan error, 2)
	go func() { broken <- web.Serve(o.Listener) }()
	o.Log.Info("port opened", "address", o.Listener.Addr().String(), "workspace", o.Contract.Workspace, "model", o.Contract.Model.ID)

	stopPeers := s.meet(ctx, broken)
	err = s.live(ctx, broken)
	stopPeers()
	return errors.Join(err, finish(ctx, web))
}

// finish writes the last answers and closes the port.
func finish(ctx context.Context, web *http.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := web.Shutdown(ctx); err != nil {
		return web.Close()
	}
	return nil
}

// live checks, starts the engine and waits for what ends the run.
func (s *server) live(ctx context.Context, broken <-chan error) error {
	if stopped, err := s.fetch(ctx); stopped || err != nil {
		return err
	}
	if end := s.checkFiles(); end != nil {
		return end
	}
	if stopped, err := s.gather(ctx); stopped || err != nil {
		return err
	}
	kills := s.MemoryKills()
	if end := s.startEngine(); end != nil {
		return end
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	if s.follows() {
		go s.watchLeader(watching)
	} else {
		go s.watch(watching)
	}
	return s.serve(ctx, broken, kills)
}

// serve waits for what ends the run of an engine.
func (s *server) serve(ctx context.Context, broken <-chan error, kills int) error {
	for {
		select {
		case sig := <-s.Signals:
			if !ends(sig) {
				s.forward(sig)
				continue
			}
			s.Log.Info("stop asked for", "signal", sig.String())
			return s.drain(ctx, kills)
		case <-ctx.Done():
			return s.drain(ctx, kills)
		case <-s.process.Done():
			return s.engineEnded(kills)
		case <-s.groupEnded():
			return s.groupLost(ctx, kills)
		case err := <-broken:
			_, stopErr := s.process.Stop(s.StopPatience)
			return s.end(ending.Internal, errors.Join(fmt.Errorf("serve HTTP: %w", err), stopErr).Error())
		}
	}
}

// ends says whether a signal asks the runner to stop; others are the engine's.
func ends(sig os.Signal) bool { return sig == syscall.SIGTERM || sig == syscall.SIGINT }

// forward passes a signal on to the engine.
func (s *server) forward(sig os.Signal) {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return
	}
	if err := s.process.Signal(number); err != nil {
		s.Log.Error("signal was not passed on", "err", err)
	}
}

// checkFiles makes sure that the weights are there before an engine stumbles over them.
func (s *server) checkFiles() *ending.Ending {
	for _, name := range s.Contract.Engine.Files {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return s.final(ending.WeightsMissing, fmt.Sprintf("the engine needs a file that is not there: %v", err))
		case info.IsDir():
			return s.final(ending.WeightsMissing, fmt.Sprintf("the engine needs the file %q, which is a folder", name))
		case info.Size() == 0:
			return s.final(ending.WeightsMissing, fmt.Sprintf("the engine needs the file %q, which is empty", name))
		}
	}
	return nil
}

// startEngine starts the engine's process.
func (s *server) startEngine() *ending.Ending {
	c := s.Contract.Engine
	env := append([]string(nil), s.Environ...)
	for _, e := range c.Env {
		env = append(env, e.Name+"="+e.Value) // of two with one name, the later counts
	}
	var err error
	command := s.Contract.CommandAt(s.place())
	s.process, err = process.Start(process.Spec{Command: command, Env: env, Stdout: s.Stdout, Stderr: s.Stderr})
	if err != nil {
		return s.final(ending.EngineNotStarted, err.Error())
	}
	s.timeline.Enter(phase.Starting)
	s.Log.Info("engine started", "engine", c.Name, "pid", s.process.Pid(), "command", command)
	if s.Reap != nil {
		go s.Reap(s.process.Pid())
	}
	return nil
}
