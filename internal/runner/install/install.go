// Package install puts the runner into the volume from which the engine's own image
// starts it; the runner's image is from scratch and has no cp.
package install

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Name is the runner's file name in the folder.
const Name = "kaito-runner"

// Into copies program to folder/kaito-runner with mode 0555. The file appears whole or
// not at all, and an older one is replaced even while it runs.
func Into(folder, program string) (path string, err error) {
	path = filepath.Join(folder, Name)
	if err := replace(path, program); err != nil {
		return "", fmt.Errorf("install %q: %w", path, err)
	}
	return path, nil
}

func replace(path, program string) (err error) {
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.CreateTemp(filepath.Dir(path), "."+Name+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(to.Name()))
		}
	}()
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Chmod(0o555), to.Close()); err != nil {
		return err
	}
	return os.Rename(to.Name(), path)
}
