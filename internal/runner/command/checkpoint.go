package command

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/runner/checkpoint"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/progress"
)

// checkpointFlags are the flags of checkpoint.
type checkpointFlags struct {
	checkpoints  string
	progress     string
	interval     time.Duration
	stopPatience time.Duration
}

func checkpointCommand(w World) *cobra.Command {
	o := output{name: "checkpoint", phase: contract.TuneTraining}
	var f checkpointFlags
	cmd := &cobra.Command{
		Use:   "checkpoint --config FILE",
		Short: "Push a training's newest checkpoint whenever there is one",
		Long: `Look for whole checkpoints of the run that FILE describes and push the newest to the
repository of its output, with the tag TAG-ckpt-RUN. A push that fails is logged and tried
again; it never ends the run.

SIGTERM ends it when no trainer of the pod answers for its progress any more and the last
checkpoint is pushed.`,
		Example: `  # in a pod, as a sidecar
  kaito-runner checkpoint --config /etc/kaito/tune.json

  # on a desk
  kaito-runner checkpoint --config tune.json --secret ~/.docker/config.json --checkpoints saved --termination-log ""`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.keep(cmd.Context(), w, f) },
	}
	o.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.checkpoints, "checkpoints", contract.CheckpointsDir, "folder for checkpoints")
	flags.StringVar(&f.progress, "progress", fmt.Sprintf("http://127.0.0.1:%d%s", contract.Port, progress.Path), "where the trainer answers for its progress")
	flags.DurationVar(&f.interval, "interval", time.Second, "how often to look for checkpoints")
	flags.DurationVar(&f.stopPatience, "stop-timeout", outputStop, "how long to go on after SIGTERM")
	return cmd
}

// keep keeps checkpoints. Whatever becomes of it, its exit code is never the one with which
// a container ends a run for good.
func (o output) keep(ctx context.Context, w World, f checkpointFlags) error {
	err := o.tell(w, func(o output) (contract.Result, error) {
		return contract.Result{}, watchCheckpoints(ctx, o, f, o.log)
	})
	if err != nil {
		return &ending.Ending{Reason: ending.Internal, Message: err.Error(), ExitCode: ending.CodeFailed, Phase: o.phase}
	}
	return nil
}

func watchCheckpoints(ctx context.Context, o output, f checkpointFlags, log *slog.Logger) error {
	ticks := time.NewTicker(f.interval)
	defer ticks.Stop()
	// The trainer is in the same pod: no proxy stands between.
	local := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	return checkpoint.Run(ctx, checkpoint.Options{
		Open: o.open, RunID: o.tune.RunID, Dir: f.checkpoints,
		Alive: checkpoint.Trainer(local, f.progress),
		Ticks: ticks.C, Signals: o.signals, Patience: f.stopPatience, Log: log,
	})
}
