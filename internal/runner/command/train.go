package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/process"
	"kaito.sh/kaito/internal/runner/progress"
	"kaito.sh/kaito/internal/runner/train"
)

// trainStop is how long the trainer may take to stop; the pod's grace is a little longer.
const trainStop = 285 * time.Second

// trainFlags are the flags of train.
type trainFlags struct {
	config         string
	listen         string
	terminationLog string
	rows           string
	results        string
	checkpoints    string
	python         string
	stopPatience   time.Duration
	logLevel       slog.Level
}

func trainCommand(w World) *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train --config FILE",
		Short: "Train an adapter on prepared rows",
		Long: `Train an adapter as FILE says, on the rows that prepare has left, and leave it for publish.
Training goes on from the newest whole checkpoint of the same run.

  GET /progress   phase, step, loss, speed and remaining time as JSON

SIGTERM finishes the step, writes a checkpoint and ends. The termination log says how it
ended, as JSON. The exit code is 2 where the same would happen again: a setting that a
library refuses, too little memory, a full disk, a loss that is no number.`,
		Example: `  # in a pod
  /kaito/kaito-runner train --config /etc/kaito/tune.json

  # on a desk
  kaito-runner train --config tune.json --rows rows.jsonl --results out --checkpoints saved \
    --listen 127.0.0.1:5000 --termination-log end.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTrain(cmd.Context(), w, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", contract.TuneFile, "file that says what to train")
	flags.StringVar(&f.listen, "listen", fmt.Sprintf(":%d", contract.Port), "address to listen on")
	flags.StringVar(&f.terminationLog, "termination-log", "/dev/termination-log", "file for how it ended; empty writes none")
	flags.StringVar(&f.rows, "rows", contract.RowsFile, "prepared rows")
	flags.StringVar(&f.results, "results", contract.ResultsDir, "folder for the adapter")
	flags.StringVar(&f.checkpoints, "checkpoints", contract.CheckpointsDir, "folder for checkpoints")
	flags.StringVar(&f.python, "python", "python3", "Python with the trainer kaito_tuner")
	flags.DurationVar(&f.stopPatience, "stop-timeout", trainStop, "how long the trainer may take to stop before it is killed")
	flags.TextVar(&f.logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	return cmd
}

// runTrain trains, and leaves word of how it ended.
func runTrain(ctx context.Context, w World, f trainFlags) error {
	log := slog.New(slog.NewJSONHandler(w.Stderr, &slog.HandlerOptions{Level: f.logLevel}))
	result, err := startTraining(ctx, w, f, log)
	if err == nil {
		log.Info("trained", "steps", result.Training.Steps, "loss", result.Training.LastLoss, "seconds", result.Seconds)
		if err := ending.WriteResult(f.terminationLog, result); err != nil {
			return fmt.Errorf("tell the result: %w", err)
		}
		return nil
	}
	end := ending.From(err, contract.TuneLoading)
	log.Error("training ended", "reason", end.Reason, "message", end.Message, "phase", end.Phase, "exitCode", end.ExitCode, "signal", end.Signal)
	if f.terminationLog == "" {
		return end
	}
	if err := end.Write(f.terminationLog); err != nil {
		log.Error("nobody will learn the reason", "err", err)
	}
	return end
}

// startTraining reads the contract, opens the port and trains.
func startTraining(ctx context.Context, w World, f trainFlags, log *slog.Logger) (contract.Result, error) {
	said, err := loadTune(f.config)
	if err != nil {
		return contract.Result{}, refused(ending.ConfigInvalid, err)
	}
	signals, children := w.Signals()
	port, err := progress.Listen(ctx, f.listen)
	if err != nil {
		return contract.Result{}, refused(ending.PortTaken, err)
	}
	board := progress.NewBoard(said.RunID, contract.TuneLoading)
	defer board.Serve(port, log)()
	if err := process.AdoptOrphans(); err != nil {
		log.Warn("orphans are left to somebody else", "err", err)
	}
	stop := make(chan struct{})
	defer close(stop)
	training, err := train.Run(ctx, train.Options{
		Tune: said,
		Command: []string{
			f.python, "-m", "kaito_tuner.train", "--job", f.config, "--rows", f.rows, "--model", said.Weights.Dir,
			"--results", f.results, "--checkpoints", f.checkpoints,
		},
		Needs:   []string{f.rows, filepath.Join(said.Weights.Dir, "config.json")},
		Adapter: filepath.Join(f.results, filepath.Base(contract.AdapterDir)),
		Board:   board, Stdout: w.Stdout, Stderr: w.Stderr, Environ: w.Environ, Signals: signals,
		StopPatience: f.stopPatience,
		MemoryKills:  func() int { return ending.MemoryKills(w.Cgroup) },
		Reap:         func(pid int) { process.Reap(children, stop, pid) },
		Log:          log,
	})
	if err != nil {
		return contract.Result{}, err
	}
	return contract.Result{Reason: contract.Done, RunID: said.RunID, Seconds: w.Now().Sub(w.Started).Seconds(), Training: &training}, nil
}

// loadTune reads the contract of a check or a tuning pod from path.
func loadTune(path string) (contract.Tune, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return contract.Tune{}, fmt.Errorf("read the runner's contract: %w", err)
	}
	said, err := contract.ParseTune(data)
	if err != nil {
		return contract.Tune{}, fmt.Errorf("%s: %w", path, err)
	}
	return said, nil
}
