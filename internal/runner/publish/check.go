// Package publish is the output of a tuning run: it finds out before the training whether
// the adapter will be taken, and brings it there in the end, once.
package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"kaito.sh/kaito/internal/runner/checkpoint"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/registry"
)

// resumePatience is how long a pod that trains waits for the registry in all: a pod that
// gives up counts as one of the few that a run has. A check only says how it is.
const resumePatience = 5 * time.Minute

// CheckOptions are what a push-check gets from outside.
type CheckOptions struct {
	// Tune is the run.
	Tune contract.Tune
	// Open makes the output, where it is an image.
	Open func() (*registry.Output, error)
	// Output is the folder of the volume, where it is one.
	Output string
	// Checkpoints is the folder for checkpoints; a check has none.
	Checkpoints string
	// Phase is for endings.
	Phase string
	// Free is how many bytes the disk of a folder can still take.
	Free func(dir string) (int64, error)
	// Sleep waits between attempts.
	Sleep func(context.Context, time.Duration) error
	// Log hears of checkpoints.
	Log *slog.Logger
}

// Check tries the output. In a pod that trains it also brings the newest checkpoint from
// the registry; on a volume it is where the trainer looks already. Errors are
// *ending.Ending where the user can change something.
func Check(ctx context.Context, o CheckOptions) error {
	if o.Tune.Output.Volume {
		return tryVolume(o.Output, o.Tune.RunID, o.Phase, o.Tune.Weights.Bytes, o.Free)
	}
	out, err := o.Open()
	if err != nil {
		return err //nolint:wrapcheck // an ending
	}
	_, err = os.Stat(o.Checkpoints)
	trains := !errors.Is(err, fs.ErrNotExist)
	patience := time.Duration(0)
	if trains {
		patience = resumePatience
	}
	if err := out.Patiently(ctx, patience, func() error { return out.Try(ctx) }); err != nil || !trains {
		return err //nolint:wrapcheck // an ending
	}
	step := 0
	err = out.Patiently(ctx, patience, func() error {
		step, err = checkpoint.Fetch(ctx, checkpoint.FetchOptions{
			Output: out, RunID: o.Tune.RunID, Dir: o.Checkpoints, Free: o.Free, Sleep: o.Sleep, Log: o.Log, Phase: o.Phase,
		})
		return err //nolint:wrapcheck // an ending
	})
	if err == nil && step > 0 {
		o.Log.Info("training goes on from a checkpoint", "step", step, "image", out.Checkpoint)
	}
	return err //nolint:wrapcheck // an ending
}

// final is an end that only a user can change.
func final(phase string, reason ending.Reason, format string, args ...any) *ending.Ending {
	return &ending.Ending{Reason: reason, Message: fmt.Sprintf(format, args...), ExitCode: ending.CodeConfig, Phase: phase}
}
