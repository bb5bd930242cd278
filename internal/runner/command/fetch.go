package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"syscall"
	"time"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/fetch"
	"kaito.sh/kaito/internal/runner/fetch/hub"
	"kaito.sh/kaito/internal/runner/fetch/image"
	"kaito.sh/kaito/internal/runner/serve"
)

// fetchFor makes the fetch that the contract asks for; nil where weights are mounted.
func fetchFor(from *contract.Weights, w World, log *slog.Logger) (serve.FetchFunc, error) {
	if from == nil {
		return nil, nil
	}
	source, err := sourceOf(from, w)
	if err != nil {
		return nil, err
	}
	return fetching(source, *from, log), nil
}

// fetching brings what a source has into the folder of the weights.
func fetching(source fetch.Source, from contract.Weights, log *slog.Logger) serve.FetchFunc {
	return func(ctx context.Context, report func(done, total int64)) error {
		err := fetch.Run(ctx, source, fetch.Options{
			Dir: from.Dir, Expected: from.Bytes, Free: free, Sleep: sleep, Report: report, Log: log,
		})
		var known *fetch.Error
		if errors.As(err, &known) {
			return known.Ending()
		}
		return err
	}
}

// sourceOf makes the place that has the weights.
func sourceOf(from *contract.Weights, w World) (fetch.Source, error) {
	if i := from.Image; i != nil {
		return image.New(image.Options{Reference: i.Reference, Credentials: i.Credentials, PlainHTTP: i.PlainHTTP, Patterns: i.Files}), nil
	}
	h := from.Hub
	var token string
	if h.TokenFile != "" {
		raw, err := os.ReadFile(h.TokenFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the token for the hub: %w", err)
		}
		token = string(bytes.TrimSpace(raw))
	}
	source, err := hub.New(hub.Options{
		Endpoint: h.Endpoint, Repository: h.Repository, Revision: h.Revision, Patterns: h.Files, Token: token, Version: w.Version,
	})
	if err != nil {
		return nil, fmt.Errorf("weights.hub.endpoint: %w", err)
	}
	return source, nil
}

// free is how many bytes an ordinary user can still write on the disk of a folder.
func free(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("ask for the free space of %q: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	pause := time.NewTimer(d)
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-pause.C:
		return nil
	}
}
