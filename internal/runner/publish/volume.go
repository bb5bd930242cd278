package publish

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/runner/ending"
)

// volumeField is where a user names the volume.
const volumeField = "tuning.output.volumeSource"

// checkpointsFolder holds the checkpoints of each run on the user's volume.
const checkpointsFolder = "checkpoints"

// leastRoom is what the smallest adapter with its checkpoints may need. Of a larger model
// roomShare of its weights is enough: rank 16 on all projections of a 7B model makes 160 MB,
// its checkpoint with Adam's two moments 480 MB, and two stand there when one is replaced.
const (
	leastRoom = 128 << 20
	roomShare = 10
)

// unwritable are the words for a volume that does not take what is written.
func unwritable(phase, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return final(phase, ending.DiskFull, "The volume of %s is full (%s: %v); make room, or name a larger one", volumeField, doing, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return final(phase, ending.PushRefused, "The volume of %s cannot be written to (%s: %v); let user 2000 or group 0 write to its root, and mount it for writing", volumeField, doing, err)
	default:
		return fmt.Errorf("%s on the volume of %s: %w", doing, volumeField, err)
	}
}

// tryVolume writes to the volume, and looks for room for an adapter of a model whose
// weights have so many bytes.
func tryVolume(dir, runID, phase string, weights int64, free func(string) (int64, error)) error {
	probe := path.Join(dir, ".kaito-"+runID+".probe")
	err := os.WriteFile(probe, []byte("Kaito has looked whether this volume can be written to.\n"), 0o644)
	if err = unwritable(phase, "write a file", err); err != nil {
		return err
	}
	if err := unwritable(phase, "remove a file", os.Remove(probe)); err != nil {
		return err
	}
	has, err := free(dir)
	if err != nil {
		return fmt.Errorf("look for room on the volume of %s: %w", volumeField, err)
	}
	if need := max(leastRoom, weights/roomShare); has < need {
		return final(phase, ending.DiskFull, "The volume of %s has %d MB free, the adapter and its checkpoints may need %d MB; make room, or name a larger one", volumeField, has/1e6, need/1e6)
	}
	return nil
}

// toVolume leaves an adapter at the root of a volume. Each file is whole or not there, and
// the configuration, without which nobody takes the weights, is away while they change.
func toVolume(from, to, runID, phase string) error {
	want, err := adapter.Check(from)
	if err != nil {
		return err //nolint:wrapcheck // told by the caller
	}
	if have, err := adapter.Check(to); err == nil && have.Digest == want.Digest {
		return nil // an earlier try was cut after this
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return unwritable(phase, "open it", err)
	}
	defer func() { _ = root.Close() }()
	staged := func(name string) string { return ".kaito-" + runID + "-" + name }
	names := []string{adapter.WeightsFile, adapter.ConfigFile}
	defer func() {
		for _, name := range names {
			_ = root.Remove(staged(name)) // none where all went well
		}
	}()
	for _, name := range names {
		if err := unwritable(phase, "write "+name, copyFile(path.Join(from, name), root, staged(name))); err != nil {
			return err
		}
	}
	if err := root.Remove(adapter.ConfigFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unwritable(phase, "replace "+adapter.ConfigFile, err)
	}
	for _, name := range names {
		if err := unwritable(phase, "put "+name+" in its place", root.Rename(staged(name), name)); err != nil {
			return err
		}
	}
	return unwritable(phase, "bring the files to the disk", flush(to))
}

// copyFile copies a file and waits until it is on the disk.
func copyFile(from string, root *os.Root, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	defer func() { _ = in.Close() }()
	out, err := root.Create(to)
	if err != nil {
		return err //nolint:wrapcheck // as above
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// flush waits until the names in a folder are on the disk. Some file systems do not know that.
func flush(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err //nolint:wrapcheck // it names the folder
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// dropCheckpoints removes a run's checkpoints from the volume, and their folder with the last run's.
func dropCheckpoints(dir, runID string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err //nolint:wrapcheck // it names the folder
	}
	defer func() { _ = root.Close() }()
	if err := root.RemoveAll(path.Join(checkpointsFolder, runID)); err != nil {
		return err //nolint:wrapcheck // as above
	}
	_ = root.Remove(checkpointsFolder) // it may hold others
	return nil
}
