package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/progress"
	"kaito.sh/kaito/internal/runner/registry"
)

// publishPatience is how long publish waits for a registry that is away: behind it stands
// a training that another pod would have to take up again. tidyPatience is for what may be left undone.
const (
	publishPatience = 15 * time.Minute
	tidyPatience    = 30 * time.Second
)

// Options are what publish gets from outside.
type Options struct {
	// Tune is the run.
	Tune contract.Tune
	// Open makes the output, where it is an image.
	Open func() (*registry.Output, error)
	// Output is the folder of the volume, where it is one.
	Output string
	// Adapter is the folder with the adapter, Training and Dataset the files that sum up
	// what it came from.
	Adapter, Training, Dataset string
	// Stop is closed when the pod is told to stop: a push that goes on may come to its end,
	// but a registry that is away is not waited for.
	Stop <-chan struct{}
	// Board tells the progress.
	Board *progress.Board
	// Log hears of what was published and what was left.
	Log *slog.Logger
}

// Run publishes the adapter, unless it is published already, and removes the run's
// checkpoints. The result lacks the time that it took. Errors are *ending.Ending where
// the user can change something.
func Run(ctx context.Context, o Options) (contract.Result, error) {
	r := contract.Result{Reason: contract.Done, RunID: o.Tune.RunID, Training: &contract.Training{}, Dataset: &contract.Dataset{}}
	for file, into := range map[string]any{o.Training: r.Training, o.Dataset: r.Dataset} {
		if err := read(file, into); err != nil {
			return contract.Result{}, err
		}
	}
	t := r.Training
	o.Board.Update(func(p *contract.Progress) {
		p.Step, p.TotalSteps, p.Loss, p.Losses = t.Steps, t.Steps, t.LastLoss, t.Losses
		p.TokensPerSecond, p.ResumedFrom = t.TokensPerSecond, t.ResumedFrom
	})
	published, err := o.publish(ctx, r)
	var wrong *adapter.UnusableError
	if errors.As(err, &wrong) {
		return contract.Result{}, final(contract.TunePublishing, ending.AdapterUnusable, "The trainer has left an adapter that nobody could use: %v", wrong)
	}
	if err != nil {
		return contract.Result{}, err
	}
	r.Published = &published
	return r, nil
}

// read reads what a container before has left.
func read(file string, into any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read what the training has left: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("read %q: %w", file, err)
	}
	return nil
}

func (o Options) publish(ctx context.Context, r contract.Result) (contract.Published, error) {
	packed, err := adapter.Pack(ctx, o.Adapter, notes(o.Tune, r))
	if err != nil {
		return contract.Published{}, err //nolint:wrapcheck // it says what it did
	}
	defer packed.Close()
	if o.Tune.Output.Volume {
		return o.toVolume(packed)
	}
	out, err := o.Open()
	if err != nil {
		return contract.Published{}, err //nolint:wrapcheck // an ending
	}
	done := contract.Published{Image: out.Image, Bytes: packed.Bytes}
	waits, cancelWaits := context.WithCancel(ctx)
	defer cancelWaits()
	go func() {
		select {
		case <-o.Stop:
			cancelWaits()
		case <-waits.Done():
		}
	}()
	err = out.Patiently(waits, publishPatience, func() (err error) {
		done.Digest, err = o.once(ctx, out, packed.Image)
		return out.Explain(ctx, err) //nolint:wrapcheck // an ending
	})
	if err != nil {
		return contract.Published{}, err //nolint:wrapcheck // an ending
	}
	tidy, cancel := context.WithTimeout(ctx, tidyPatience)
	defer cancel()
	if err := out.RemoveCheckpoint(tidy); err != nil {
		o.Log.Warn("the checkpoint stays in the registry", "image", out.Checkpoint, "err", err)
	}
	return done, nil
}

// once pushes the image, unless the tag holds one of this run: whoever watches the tag
// sees it move once, whatever becomes of this container.
func (o Options) once(ctx context.Context, out *registry.Output, image oci.Image) (string, error) {
	digest, there, err := out.Published(ctx)
	var access *oci.AccessError
	switch {
	case errors.As(err, &access):
		o.Log.Warn("the tag cannot be looked at, and is written", "image", out.Image, "err", err)
	case err != nil:
		return "", err //nolint:wrapcheck // explained by the caller
	case there:
		o.Log.Info("the adapter of this run is there already", "image", out.Image, "digest", digest)
		return digest, nil
	}
	pushed, err := out.Client.PushImage(ctx, image, out.Image)
	if err != nil {
		return "", err //nolint:wrapcheck // explained by the caller
	}
	o.Log.Info("adapter pushed", "image", out.Image, "digest", pushed.String())
	return pushed.String(), nil
}

func (o Options) toVolume(packed *adapter.Packed) (contract.Published, error) {
	if err := toVolume(o.Adapter, o.Output, o.Tune.RunID, contract.TunePublishing); err != nil {
		return contract.Published{}, err
	}
	o.Log.Info("adapter written", "folder", o.Output, "digest", packed.Facts.Digest)
	if err := dropCheckpoints(o.Output, o.Tune.RunID); err != nil {
		o.Log.Warn("the checkpoints stay on the volume", "err", err)
	}
	return contract.Published{Bytes: packed.Bytes}, nil
}

// notes are what the image says about where it came from.
func notes(t contract.Tune, r contract.Result) adapter.Notes {
	return adapter.Notes{
		Model: t.Model.ID, Base: t.Model.HubID, Revision: t.Model.Revision,
		Run: t.RunID, Method: t.Method,
		Dataset: r.Dataset.Digest, Rows: r.Dataset.Rows, Tokens: r.Dataset.Tokens,
		Steps: r.Training.Steps, Epochs: r.Training.Epochs,
		FirstLoss: r.Training.FirstLoss, LastLoss: r.Training.LastLoss,
	}
}
