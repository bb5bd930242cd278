package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/registry"
)

// outputStop is how long what was begun may go on once the pod is told to stop; the pod's
// grace is a little longer.
const outputStop = 290 * time.Second

// outputFlags are what push-check, checkpoint and publish have in common.
type outputFlags struct {
	config         string
	terminationLog string
	secret         string
	logLevel       slog.Level
}

func (f *outputFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", contract.TuneFile, "file that says what is tuned, and where it goes")
	flags.StringVar(&f.secret, "secret", contract.PushSecretFile, "file with the push Secret, where the run names one")
	flags.StringVar(&f.terminationLog, "termination-log", "/dev/termination-log", "file for how it ended; empty writes none")
	flags.TextVar(&f.logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
}

// output is one of the commands at work.
type output struct {
	outputFlags
	// name is the command's, phase where it stands.
	name, phase string
	tune        contract.Tune
	signals     <-chan os.Signal
	log         *slog.Logger
}

// tell reads the contract, works, and leaves word of how it ended.
func (o output) tell(w World, work func(output) (contract.Result, error)) error {
	o.log = slog.New(slog.NewJSONHandler(w.Stderr, &slog.HandlerOptions{Level: o.logLevel}))
	var err error
	if o.tune, err = loadTune(o.config); err == nil {
		var result contract.Result
		o.signals, _ = w.Signals()
		if result, err = work(o); err == nil {
			result.Reason, result.RunID, result.Seconds = contract.Done, o.tune.RunID, w.Now().Sub(w.Started).Seconds()
			o.log.Info(o.name+" ended", "seconds", result.Seconds)
			if err := ending.WriteResult(o.terminationLog, result); err != nil {
				return fmt.Errorf("tell the result: %w", ending.From(err, o.phase))
			}
			return nil
		}
	} else {
		err = refused(ending.ConfigInvalid, err)
	}
	end := ending.From(err, o.phase)
	o.log.Error(o.name+" ended", "reason", end.Reason, "message", end.Message, "exitCode", end.ExitCode)
	if o.terminationLog == "" {
		return end
	}
	if err := end.Write(o.terminationLog); err != nil {
		o.log.Error("nobody will learn the reason", "err", err)
	}
	return end
}

// open makes the output, with what the push Secret holds now.
func (o output) open() (*registry.Output, error) {
	return registry.Open(registry.Options{Tune: o.tune, SecretFile: o.secret, Phase: o.phase, Sleep: sleep, Log: o.log})
}

// stoppable ends ctx a while after the pod was told to stop; stop is closed at once. The
// first process of a container must do that itself: it would otherwise be killed in the
// end, or end with a code that says it must not be tried again.
func (o output) stoppable(ctx context.Context, patience time.Duration) (work context.Context, stop <-chan struct{}, cancel func()) {
	asked := make(chan struct{})
	work, end := context.WithCancelCause(ctx)
	go func() {
		for {
			select {
			case <-work.Done():
				return
			case sig := <-o.signals:
				if sig != syscall.SIGTERM && sig != syscall.SIGINT {
					continue
				}
			}
			break
		}
		o.log.Info("stop asked for", "patienceSeconds", patience.Seconds())
		close(asked)
		_ = sleep(work, patience)
		end(&ending.Ending{Reason: ending.Stopped, Message: "The pod was told to stop before " + o.name + " had ended", ExitCode: ending.CodeFailed, Phase: o.phase})
	}()
	return work, asked, func() { end(nil) }
}
