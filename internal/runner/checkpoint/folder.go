// Package checkpoint keeps a run's newest checkpoint in the registry of its output: a
// sidecar pushes what the trainer seals, and the next pod of the run brings it back.
//
// A checkpoint in a registry is an OCI artifact whose layers are the files, each as it is.
package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/runner/contract"
)

// prefix begins the name of a checkpoint's folder; its step follows.
const prefix = "checkpoint-"

// Annotations and types of a checkpoint in a registry.
const (
	annotationRun  = "sh.kaito.checkpoint.run-id"
	annotationStep = "sh.kaito.checkpoint.step"
	// annotationTitle is a file's path, as `oras pull` reads it, annotationMode its permissions in octal.
	annotationTitle = "org.opencontainers.image.title"
	annotationMode  = "sh.kaito.checkpoint.mode"

	// kind is what registries that sort artifacts call it.
	kind     types.MediaType = "application/vnd.kaito.checkpoint.v1+json"
	kindFile types.MediaType = "application/vnd.kaito.checkpoint.file.v1"
)

// Bounds of what a mark and a folder may hold.
const (
	maxMark  = 64 << 10
	maxFiles = 4096
	maxFile  = 1 << 40
)

// errGone says that a checkpoint was removed, because a newer one is there.
var errGone = errors.New("the checkpoint was replaced while it was opened")

// folderOf is the name of a checkpoint's folder.
func folderOf(step int) string { return prefix + strconv.Itoa(step) }

// stepOf reads a folder's name; 0 is no checkpoint.
func stepOf(name string) int {
	digits, ok := strings.CutPrefix(name, prefix)
	step, err := strconv.Atoi(digits)
	if !ok || err != nil || folderOf(step) != name {
		return 0
	}
	return step
}

// Newest is the step of the newest whole checkpoint of a run below root, or 0.
func Newest(root *os.Root, runID string) (int, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return 0, fmt.Errorf("look for checkpoints: %w", err)
	}
	newest := 0
	for _, e := range entries {
		if step := stepOf(e.Name()); step > newest && e.IsDir() && whole(root, e.Name(), runID, step) {
			newest = step
		}
	}
	return newest, nil
}

// whole says whether a folder holds the mark of a checkpoint of the run.
func whole(root *os.Root, folder, runID string, step int) bool {
	name := path.Join(folder, contract.CheckpointMark)
	info, err := root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxMark {
		return false
	}
	raw, err := root.ReadFile(name)
	var mark struct {
		RunID string `json:"runID"`
		Step  int    `json:"step"`
	}
	return err == nil && json.Unmarshal(raw, &mark) == nil && mark.RunID == runID && mark.Step == step
}

// opened is a checkpoint whose files are open, so that they can be read though their
// folder is removed meanwhile.
type opened struct {
	step  int
	files []*os.File
	names []string
}

func (o *opened) close() {
	for _, f := range o.files {
		_ = f.Close()
	}
}

// open opens all files of a checkpoint. The trainer removes a mark before anything else:
// when it is still there in the end, then nothing is missing.
func open(root *os.Root, runID string, step int) (*opened, error) {
	o := &opened{step: step}
	err := o.walk(root)
	if err == nil && !whole(root, folderOf(step), runID, step) {
		err = errGone
	}
	if err != nil {
		o.close()
		if !whole(root, folderOf(step), runID, step) {
			return nil, errGone
		}
		return nil, fmt.Errorf("open checkpoint %d: %w", step, err)
	}
	return o, nil
}

func (o *opened) walk(root *os.Root) error {
	folder := folderOf(o.step)
	return fs.WalkDir(root.FS(), folder, func(name string, e fs.DirEntry, err error) error { //nolint:wrapcheck // open says which checkpoint
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return nil
		case !e.Type().IsRegular():
			return fmt.Errorf("%q is a link or a device, not a plain file", name)
		case len(o.files) == maxFiles:
			return fmt.Errorf("it has more than %d files", maxFiles)
		}
		file, err := root.Open(name)
		if err != nil {
			return err //nolint:wrapcheck // as above
		}
		o.files, o.names = append(o.files, file), append(o.names, strings.TrimPrefix(name, folder+"/"))
		return nil
	})
}

// image describes the open files. Each is read once, for its digest.
func (o *opened) image(ctx context.Context, runID string) (oci.Image, error) {
	var layers []oci.Blob
	for i, file := range o.files {
		info, err := file.Stat()
		if err != nil {
			return oci.Image{}, fmt.Errorf("look at a file of checkpoint %d: %w", o.step, err)
		}
		blob, err := oci.Stored(ctx, kindFile, file, info.Size())
		if err != nil {
			return oci.Image{}, fmt.Errorf("read %q of checkpoint %d: %w", o.names[i], o.step, err)
		}
		blob.Annotations = map[string]string{
			annotationTitle: o.names[i],
			annotationMode:  fmt.Sprintf("%04o", info.Mode().Perm()),
		}
		layers = append(layers, blob)
	}
	// The mark comes last, as it was written: whoever has it has everything.
	slices.SortStableFunc(layers, func(a, b oci.Blob) int {
		return markLast(a.Annotations[annotationTitle]) - markLast(b.Annotations[annotationTitle])
	})
	return oci.NewImage(oci.Bytes(kind, []byte("{}")), layers, map[string]string{ //nolint:wrapcheck // it says what it did
		annotationRun: runID, annotationStep: strconv.Itoa(o.step),
	})
}

func markLast(name string) int {
	if name == contract.CheckpointMark {
		return 1
	}
	return 0
}
