package command

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/phase"
	"kaito.sh/kaito/internal/runner/process"
	"kaito.sh/kaito/internal/runner/serve"
)

// How often the engine's health is asked: poll while it starts, which is the error of
// the start-up times, and watch once it is ready.
const (
	poll  = 50 * time.Millisecond
	watch = 5 * time.Second
)

// serveFlags are the flags of serve.
type serveFlags struct {
	config         string
	listen         string
	terminationLog string
	grace          time.Duration
	stopPatience   time.Duration
	logLevel       slog.Level
}

func serveCommand(w World) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Start the engine and answer HTTP for it",
		Long: `Start the engine that FILE describes and answer HTTP for it:

  POST /chat      a prompt in, {"Result": "..."} out
  /v1/*           the engine's OpenAI API, streaming included
  GET /health     200 once the engine can answer, else 503 with the phase
  GET /metrics    the engine's metrics and the runner's

Weights that FILE names are fetched first, from a registry or a hub, and proved by their
digests; what an earlier run brought is kept.

SIGTERM drains: /health turns to 503, after the grace no request is taken any more,
requests in flight finish within limits.drainSeconds of FILE, then the engine stops.
If the engine ends by itself, the termination log says why, as JSON, and the exit code is not 0.`,
		Example: `  # in a pod
  /kaito/kaito-runner serve --config /etc/kaito/runner.json

  # on a desk: another port, nothing to wait for at the end
  kaito-runner serve --config runner.json --listen 127.0.0.1:5000 --termination-log end.json --grace 0s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), w, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", contract.ConfigFile, "file that says what to serve")
	flags.StringVar(&f.listen, "listen", fmt.Sprintf(":%d", contract.Port), "address to listen on")
	flags.StringVar(&f.terminationLog, "termination-log", "/dev/termination-log", "file for the reason of the end; empty writes none")
	flags.DurationVar(&f.grace, "grace", contract.GraceSeconds*time.Second, "how long new requests are taken after SIGTERM, until endpoints are withdrawn")
	flags.DurationVar(&f.stopPatience, "stop-timeout", contract.StopSeconds*time.Second, "how long the engine may take to end before it is killed")
	flags.TextVar(&f.logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	return cmd
}

// runServe serves, and leaves word of how it ended.
func runServe(ctx context.Context, w World, f serveFlags) error {
	log := slog.New(slog.NewJSONHandler(w.Stderr, &slog.HandlerOptions{Level: f.logLevel}))
	err := start(ctx, w, f, log)
	if err == nil {
		log.Info("runner ended")
		return nil
	}
	end := ending.From(err, string(phase.Checking))
	log.Error("runner ended", "reason", end.Reason, "message", end.Message, "phase", end.Phase, "exitCode", end.ExitCode, "signal", end.Signal)
	if f.terminationLog == "" {
		return end
	}
	if err := end.Write(f.terminationLog); err != nil {
		log.Error("nobody will learn the reason", "err", err)
	}
	return end
}

// start reads the contract, opens the port and serves.
func start(ctx context.Context, w World, f serveFlags, log *slog.Logger) error {
	said, err := load(f.config)
	if err != nil {
		return refused(ending.ConfigInvalid, err)
	}
	signals, children := w.Signals()
	port, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return refused(ending.PortTaken, fmt.Errorf("open the port: %w", err))
	}
	if err := process.AdoptOrphans(); err != nil {
		log.Warn("orphans are left to somebody else", "err", err)
	}
	bring, err := fetchFor(said.Weights, w, log)
	if err != nil {
		return refused(ending.ConfigInvalid, err)
	}
	part, err := groupFor(ctx, said, w)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	return serve.Run(ctx, serve.Options{
		Group:    part,
		Contract: said, Listener: port,
		Stdout: w.Stdout, Stderr: w.Stderr, Environ: w.Environ, Signals: signals,
		Now: w.Now, Started: w.Started,
		Grace: f.grace, StopPatience: f.stopPatience, Poll: poll, Watch: watch,
		Fetch:       bring,
		MemoryKills: func() int { return ending.MemoryKills(w.Cgroup) },
		Reap:        func(pid int) { process.Reap(children, stop, pid) },
		Version:     w.Version, Log: log,
	})
}

// load reads the contract from path.
func load(path string) (contract.Serve, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return contract.Serve{}, fmt.Errorf("read the runner's contract: %w", err)
	}
	said, err := contract.Parse(data)
	if err != nil {
		return contract.Serve{}, fmt.Errorf("%s: %w", path, err)
	}
	return said, nil
}

// refused is an end before anything was started.
func refused(why ending.Reason, err error) *ending.Ending {
	return &ending.Ending{Reason: why, Message: err.Error(), ExitCode: ending.CodeConfig, Phase: string(phase.Checking)}
}
