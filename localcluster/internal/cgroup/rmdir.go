package cgroup

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// rmdir never unlinks files: in a control group they cannot be.
func rmdir(dir string) error {
	if err := unix.Rmdir(dir); err != nil {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}
