package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/fetch"
	"kaito.sh/kaito/internal/runner/registry"
)

// staging is the folder below that of the checkpoints in which one arrives.
const staging = ".kaito-fetch"

// FetchOptions say what to bring where.
type FetchOptions struct {
	// Output is where the run's checkpoint is.
	Output *registry.Output
	// RunID is that of the run; checkpoints of others are left where they are.
	RunID string
	// Dir is the folder for checkpoints.
	Dir string
	// Free is how many bytes the disk of a folder can still take.
	Free func(dir string) (int64, error)
	// Sleep waits between attempts.
	Sleep func(context.Context, time.Duration) error
	// Log hears of checkpoints that cannot be used.
	Log *slog.Logger
	// Phase is for endings.
	Phase string
}

// ignored says why a checkpoint is not used; the run begins anew.
type ignored struct{ why string }

func (e *ignored) Error() string { return e.why }

func ignore(format string, args ...any) error { return &ignored{fmt.Sprintf(format, args...)} }

// Fetch brings the run's newest checkpoint and answers its step, 0 where there is none. One
// that is of another run, or damaged, is none: the run begins anew, and its next checkpoint
// takes the place. Errors are *ending.Ending, unless ctx ended.
func Fetch(ctx context.Context, o FetchOptions) (int, error) {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return 0, fmt.Errorf("open the folder for checkpoints: %w", err)
	}
	defer func() { _ = root.Close() }()
	defer func() { _ = root.RemoveAll(staging) }()
	step, err := o.fetch(ctx, root)
	var unused *ignored
	switch {
	case errors.As(err, &unused):
		o.Log.Warn("the checkpoint in the registry is not used: training begins anew", "image", o.Output.Checkpoint, "why", unused.why)
		return 0, nil
	case err != nil:
		return 0, o.explain(ctx, err)
	default:
		return step, nil
	}
}

// explain gives an error of the fetch the words for its place.
func (o FetchOptions) explain(ctx context.Context, err error) error {
	var known *fetch.Error
	switch {
	case errors.As(err, &known) && known.Reason == ending.DiskFull, errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return o.full("is full")
	case errors.As(err, &known) && known.Reason == ending.Internal:
		return err
	default:
		return o.Output.Explain(ctx, err)
	}
}

// full is the end for a disk that is too small.
func (o FetchOptions) full(how string) error {
	return &ending.Ending{
		Reason: ending.DiskFull, ExitCode: ending.CodeConfig, Phase: o.Phase,
		Message: fmt.Sprintf("The node's disk %s and cannot take the checkpoint %s; give the node a larger one", how, o.Output.Checkpoint),
	}
}

// room says whether the disk can take the files.
func (o FetchOptions) room(layers []v1.Descriptor) error {
	free, err := o.Free(o.Dir)
	if err != nil {
		return fmt.Errorf("look for room for a checkpoint: %w", err)
	}
	var need int64
	for _, l := range layers {
		need += l.Size
	}
	if need > free {
		return o.full(fmt.Sprintf("has %d MB of %d MB free", free/1e6, need/1e6))
	}
	return nil
}

// fetch brings what the tag names. A pod that lost its node may go on for a while and
// replace the checkpoint while it is read: then the one that took its place is brought.
func (o FetchOptions) fetch(ctx context.Context, root *os.Root) (step int, err error) {
	const most = 4
	var tried v1.Hash
	for range most {
		raw, found, lookErr := o.Output.Client.Manifest(ctx, o.Output.Checkpoint)
		var (
			missing *oci.MissingError
			access  *oci.AccessError
		)
		switch {
		case errors.As(lookErr, &missing), lookErr == nil && found.Digest == tried:
			return 0, err
		case errors.As(lookErr, &access): // who may push may not be allowed to look
			return 0, ignore("it cannot be read: %v", access)
		case lookErr != nil:
			return 0, lookErr //nolint:wrapcheck // explained by Fetch
		}
		tried = found.Digest
		step, err = o.bring(ctx, root, raw, o.Output.Digest(found.Digest.String()))
		var unused *ignored
		if !errors.As(err, &unused) {
			return step, err
		}
	}
	return 0, err
}

// bring brings the checkpoint with a manifest that stands at a reference.
func (o FetchOptions) bring(ctx context.Context, root *os.Root, manifest []byte, at string) (int, error) {
	layers, step, err := read(manifest, o.RunID)
	if err != nil {
		return 0, err
	}
	if whole(root, folderOf(step), o.RunID, step) {
		return step, nil
	}
	if err := root.RemoveAll(staging); err != nil {
		return 0, fmt.Errorf("make room for a checkpoint: %w", err)
	}
	if err := o.room(layers); err != nil {
		return 0, err
	}
	err = fetch.Run(ctx, &source{o: o, at: at, layers: layers}, fetch.Options{
		Dir: filepath.Join(o.Dir, staging), Free: o.Free, Sleep: o.Sleep, Report: func(int64, int64) {}, Log: o.Log,
	})
	var known *fetch.Error
	if errors.As(err, &known) && (known.Reason == ending.WeightsCorrupt || known.Reason == ending.WeightsUnusable) {
		return 0, ignore("%s", known.Message)
	}
	if err != nil {
		return 0, err //nolint:wrapcheck // explained by Fetch
	}
	return step, settle(root, layers, o.RunID, step)
}

// read understands the manifest of a checkpoint of the run.
func read(raw []byte, runID string) (layers []v1.Descriptor, step int, err error) {
	var m v1.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, 0, ignore("its manifest cannot be read: %v", err)
	}
	step, err = strconv.Atoi(m.Annotations[annotationStep])
	switch {
	case m.Config.MediaType != kind:
		return nil, 0, ignore("it is no checkpoint: its configuration is of type %q", m.Config.MediaType)
	case m.Annotations[annotationRun] != runID:
		return nil, 0, ignore("it is of run %q", m.Annotations[annotationRun])
	case err != nil || step < 1:
		return nil, 0, ignore("it is of step %q", m.Annotations[annotationStep])
	case len(m.Layers) > maxFiles:
		return nil, 0, ignore("it has %d files, at most %d make sense", len(m.Layers), maxFiles)
	}
	for _, l := range m.Layers {
		if l.Size < 0 || l.Size > maxFile {
			return nil, 0, ignore("a file of it has %d bytes", l.Size)
		}
	}
	return m.Layers, step, nil
}

// settle proves that what arrived is a whole checkpoint, and gives it its name.
func settle(root *os.Root, layers []v1.Descriptor, runID string, step int) error {
	for _, l := range layers {
		mode, err := strconv.ParseUint(l.Annotations[annotationMode], 8, 32)
		if err != nil || mode > uint64(fs.ModePerm) {
			return ignore("the file %q has the mode %q", l.Annotations[annotationTitle], l.Annotations[annotationMode])
		}
		if err := root.Chmod(path.Join(staging, l.Annotations[annotationTitle]), fs.FileMode(mode)); err != nil {
			return fmt.Errorf("set the mode of a checkpoint's file: %w", err)
		}
	}
	if !whole(root, staging, runID, step) {
		return ignore("its %s does not say that it is whole, or says another run or step", contract.CheckpointMark)
	}
	folder := folderOf(step)
	err := errors.Join(root.RemoveAll(path.Join(staging, ".kaito")), root.RemoveAll(folder))
	if err == nil {
		err = root.Rename(staging, folder)
	}
	if err != nil {
		return fmt.Errorf("put checkpoint %d in its place: %w", step, err)
	}
	return nil
}

// source reads a checkpoint's files from a registry.
type source struct {
	o      FetchOptions
	at     string
	layers []v1.Descriptor
}

// Plan lists the files.
func (s *source) Plan(ctx context.Context) (fetch.Plan, error) {
	image, err := s.o.Output.Client.Open(ctx, s.at, "")
	if err != nil {
		return fetch.Plan{}, s.passing(ctx, err)
	}
	plan := fetch.Plan{Origin: image.Name}
	for _, l := range s.layers {
		digest, err := fetch.ParseDigest(fetch.Kind(l.Digest.Algorithm), l.Digest.Hex)
		if err != nil || digest.Kind != fetch.SHA256 {
			return fetch.Plan{}, fetch.Unusable("it has a file with the digest %s", l.Digest)
		}
		plan.Parts = append(plan.Parts, fetch.Part{
			Name: l.Annotations[annotationTitle], Size: l.Size, Digest: digest,
			Open: func(ctx context.Context, from int64) (io.ReadCloser, error) {
				body, err := image.Blob(ctx, l, from)
				return body, s.passing(ctx, err)
			},
		})
	}
	return plan, nil
}

// passing tells what comes again, which ends the fetch, from what may pass. A file that
// is not there is a damaged checkpoint.
func (s *source) passing(ctx context.Context, err error) error {
	var missing *oci.MissingError
	if errors.As(err, &missing) {
		return fetch.Unusable("a part of it is not there: %v", err)
	}
	var end *ending.Ending
	if err = s.o.Output.Explain(ctx, err); errors.As(err, &end) && end.Code() == ending.CodeConfig {
		return &fetch.Error{Reason: ending.WeightsRefused, Message: end.Message, Err: end}
	}
	return err
}
