// Package adapters brings the LoRA adapters of a serving pod before its engine starts:
// from a registry or a volume, checked against the model and the engine, and in the form
// that the engine loads. Adapters may come from strangers; nothing of them is executed.
package adapters

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/engine"
)

// Phase is where a pod stands while it brings adapters, in endings.
const Phase = "adapters"

// pulls is the folder below Options.Dir into which images are pulled; no adapter is
// called so, because names do not begin with a point.
const pulls = ".pull"

// Options say which adapters to bring, and how.
type Options struct {
	// Serve is the contract of the pod.
	Serve contract.Serve
	// Dir receives the adapters: contract.AdaptersDir in a pod.
	Dir string
	// Volumes holds a folder for each adapter that comes from a volume, by its name.
	Volumes string
	// Transport carries requests to registries; nil takes the default.
	Transport http.RoundTripper
	// Sleep waits between attempts.
	Sleep func(context.Context, time.Duration) error
	// Log hears what was brought, and what went wrong and was got over.
	Log *slog.Logger
}

// Bring brings all adapters. Its error is an *ending.Ending that names the adapter:
// AdapterUnusable where only an edit helps, AdapterUnreachable and DiskFull where
// another try may.
func Bring(ctx context.Context, o Options) error {
	stage := filepath.Join(o.Dir, pulls)
	defer func() { _ = os.RemoveAll(stage) }()
	for _, a := range o.Serve.Adapters {
		if err := errors.Join(os.RemoveAll(stage), os.MkdirAll(o.Dir, 0o755)); err != nil {
			return o.ended(a, fmt.Errorf("make room: %w", err))
		}
		if err := o.bring(ctx, a, stage); err != nil {
			return o.ended(a, err)
		}
	}
	return nil
}

// bring brings one adapter.
func (o Options) bring(ctx context.Context, a contract.Adapter, stage string) error {
	from := filepath.Join(o.Volumes, a.Name)
	if a.Image != nil {
		from = stage
		pulled, err := adapter.Pull(ctx, adapter.PullOptions{
			Reference: a.Image.Reference, Credentials: a.Image.Credentials, PlainHTTP: a.Image.PlainHTTP,
			Dir: from, Transport: o.Transport, Sleep: o.Sleep, Log: o.Log,
		})
		if err != nil {
			return &pullError{err}
		}
		o.Log.Info("adapter pulled", "adapter", a.Name, "image", pulled.Name, "bytes", pulled.Facts.Bytes)
	}
	w, err := adapter.Open(from)
	if err != nil {
		return err //nolint:wrapcheck // told by ended
	}
	defer w.Close()
	f := w.Facts()
	if err := fits(f, o.Serve); err != nil {
		return err
	}
	switch o.Serve.Engine.Name {
	case engine.LlamaCpp:
		err = o.writeGGUF(a, w)
	default:
		err = o.writePEFT(a, w)
	}
	if err == nil {
		o.Log.Info("adapter ready", "adapter", a.Name, "rank", f.Rank, "base", f.Base, "parameters", f.Parameters, "digest", f.Digest)
	}
	return err
}

// pullError is an error of a pull: of the registry, or of the disk.
type pullError struct{ error }

// Unwrap is the error.
func (e *pullError) Unwrap() error { return e.error }

// ended says how the container ends because of one adapter.
func (o Options) ended(a contract.Adapter, err error) error {
	from := "from its volume"
	if a.Image != nil {
		from = "from image " + a.Image.Reference
	}
	end := &ending.Ending{Reason: ending.Internal, ExitCode: ending.CodeFailed, Phase: Phase}
	var wrong *adapter.UnusableError
	var pull *pullError
	switch {
	case errors.As(err, &wrong):
		end.Reason, end.ExitCode = ending.AdapterUnusable, ending.CodeConfig
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		end.Reason = ending.DiskFull
	case errors.Is(err, fs.ErrPermission):
		end.Reason, end.ExitCode = ending.AdapterUnusable, ending.CodeConfig
		err = fmt.Errorf("its files cannot be read by user 2000 and group 0: %w", err)
	case errors.Is(err, context.Canceled):
		end.Reason = ending.Stopped
	case errors.As(err, &pull):
		end.Reason = ending.AdapterUnreachable
	}
	end.Message = fmt.Sprintf("adapter %q %s: %v", a.Name, from, err)
	return end
}
