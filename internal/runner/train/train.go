// Package train is the life of the container that trains: it starts the trainer, tells
// its progress over HTTP, stops it at a checkpoint, and says in the end what came of it.
package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/process"
	"kaito.sh/kaito/internal/runner/progress"
)

// Options is everything that a training gets from outside.
type Options struct {
	// Tune is what to train.
	Tune contract.Tune
	// Command starts the trainer.
	Command []string
	// Needs are files that the trainer stumbles over when they are missing.
	Needs []string
	// Adapter is the folder that it leaves.
	Adapter string
	// Board tells the progress.
	Board *progress.Board
	// Stdout and Stderr receive what the trainer's libraries print.
	Stdout, Stderr io.Writer
	// Environ is the environment that the trainer gets, before our own variables.
	Environ []string
	// Signals are those sent to the runner.
	Signals <-chan os.Signal
	// StopPatience is how long the trainer may take to finish its step and its checkpoint.
	StopPatience time.Duration
	// MemoryKills counts processes of this container that were killed for memory.
	MemoryKills func() int
	// Reap collects children other than the trainer, whose process id it gets.
	Reap func(pid int)
	// Log receives the runner's own messages.
	Log *slog.Logger
}

// run is one training.
type run struct {
	Options
	lines   *listener
	process *process.Process
	kills   int
	// stopping is set once the pod was told to stop.
	stopping bool
}

// Run trains. The error is an *ending.Ending.
func Run(ctx context.Context, o Options) (contract.Training, error) {
	r := &run{Options: o, lines: &listener{to: o.Stdout, board: o.Board, log: o.Log}}
	if err := r.check(); err != nil {
		return contract.Training{}, err
	}
	if err := r.start(); err != nil {
		return contract.Training{}, err
	}
	if err := r.wait(ctx); err != nil {
		return contract.Training{}, r.failed(ending.Internal, err.Error())
	}
	return r.outcome()
}

// check makes sure that what the containers before left is there.
func (r *run) check() error {
	for _, name := range r.Needs {
		info, err := os.Stat(name)
		if err == nil && info.Size() > 0 {
			continue
		}
		what := fmt.Sprintf("%q, which is empty", name)
		if err != nil {
			what = err.Error()
		}
		return &ending.Ending{
			Reason: ending.WeightsMissing, Message: "The trainer needs a file that is not there: " + what,
			ExitCode: ending.CodeConfig, Phase: contract.TuneLoading,
		}
	}
	return nil
}

// environ is the trainer's environment. Of two variables with one name the later counts.
func (r *run) environ() []string {
	threads := strconv.Itoa(max(1, r.Tune.Threads))
	return append(append([]string(nil), r.Environ...),
		// More threads than CPUs make every step wait for the slowest, and waiting threads must not spin.
		"OMP_NUM_THREADS="+threads, "OPENBLAS_NUM_THREADS="+threads, "MKL_NUM_THREADS="+threads,
		"OMP_WAIT_POLICY=passive", "GOMP_SPINCOUNT=0",
		// Nothing is fetched here, and bars would fill the log.
		"HF_HUB_OFFLINE=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1", "TOKENIZERS_PARALLELISM=false",
		// The same input gives the same adapter.
		"PYTHONHASHSEED=0", "PYTHONUNBUFFERED=1", "CUBLAS_WORKSPACE_CONFIG=:4096:8",
		// Memory that is free in small pieces can be used for large ones.
		"PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True",
	)
}

func (r *run) start() error {
	r.kills = r.MemoryKills()
	var err error
	r.process, err = process.Start(process.Spec{Command: r.Command, Env: r.environ(), Stdout: r.lines, Stderr: r.Stderr})
	if err != nil {
		return &ending.Ending{
			Reason: ending.EngineNotStarted, Message: "The trainer cannot be started: " + err.Error(),
			ExitCode: ending.CodeConfig, Phase: contract.TuneLoading,
		}
	}
	r.Log.Info("trainer started", "pid", r.process.Pid(), "command", r.Command, "threads", r.Tune.Threads)
	if r.Reap != nil {
		go r.Reap(r.process.Pid())
	}
	return nil
}

// wait returns when the trainer has ended, by itself or because the pod is told to stop.
func (r *run) wait(ctx context.Context) error {
	for {
		select {
		case <-r.process.Done():
			return r.process.Signal(syscall.SIGKILL) // what it left behind goes too
		case <-ctx.Done():
			return r.stop("the end of the program")
		case sig := <-r.Signals:
			if sig == syscall.SIGTERM || sig == syscall.SIGINT {
				return r.stop(sig.String())
			}
		}
	}
}

// stop lets the trainer finish its step and write a checkpoint.
func (r *run) stop(why string) error {
	r.stopping = true
	r.Log.Info("stop asked for: the step is finished and a checkpoint written", "why", why, "patienceSeconds", r.StopPatience.Seconds())
	r.Board.Update(func(p *contract.Progress) { p.Phase = contract.TuneStopping })
	willing, err := r.process.Stop(r.StopPatience)
	r.Log.Info("trainer stopped", "willing", willing, "how", r.process.Exit().String())
	return err
}

// outcome tells what came of a trainer that has ended.
func (r *run) outcome() (contract.Training, error) {
	exit, said := r.process.Exit(), r.lines.result
	switch {
	case said != nil && said.Reason == contract.Done && said.Training != nil && exit.Code == 0:
		return r.finished(*said.Training)
	case said != nil && said.Reason != contract.Done:
		return contract.Training{}, r.failed(ending.Reason(said.Reason), said.Message)
	case exit.Signal == syscall.SIGKILL && r.MemoryKills() > r.kills:
		return contract.Training{}, r.failed(ending.OutOfMemory, "Training used up the container's memory. "+r.remedy())
	case r.stopping:
		return contract.Training{}, r.failed(ending.Stopped, "The trainer was stopped and "+r.goesOn())
	case exit.Signal != 0:
		e := r.failed(ending.EngineExited, fmt.Sprintf("The trainer %s; training %s", exit, r.goesOn()))
		e.ExitCode, e.Signal = exit.Code, int(exit.Signal)
		return contract.Training{}, e
	default:
		return contract.Training{}, r.failed(ending.TrainingFailed, fmt.Sprintf("The trainer %s and did not say why", exit))
	}
}

// finished proves that the adapter is there before anybody is told so.
func (r *run) finished(t contract.Training) (contract.Training, error) {
	var missing error
	for _, name := range []string{"adapter_config.json", "adapter_model.safetensors"} {
		_, err := os.Stat(filepath.Join(r.Adapter, name))
		missing = errors.Join(missing, err)
	}
	if missing != nil {
		return contract.Training{}, r.failed(ending.Internal, "The trainer ended well and left no adapter: "+missing.Error())
	}
	return t, nil
}

// failed is an end with the trainer's last lines.
func (r *run) failed(reason ending.Reason, message string) *ending.Ending {
	e := &ending.Ending{
		Reason: reason, Message: message, ExitCode: ending.CodeFailed,
		Phase: r.Board.Now().Phase, Lines: words(r.process.Tail()),
	}
	if final(reason) {
		e.ExitCode = ending.CodeConfig
	}
	return e
}

// remedy says what would need less memory. Before the trainer knows it, the weights alone were too large.
func (r *run) remedy() string {
	if r.lines.remedy != "" {
		return r.lines.remedy
	}
	return "Choose an instance type with more memory, or a smaller model"
}

// goesOn says from where the next pod goes on.
func (r *run) goesOn() string {
	if step := r.Board.Now().Checkpoint; step > 0 {
		return fmt.Sprintf("goes on from the checkpoint of step %d", step)
	}
	return "begins again: there was no checkpoint yet"
}
