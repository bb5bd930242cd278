// Package record keeps small JSON files on disk: written whole or not at all,
// and locked while a program changes what they describe.
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"kaito.sh/kaito/localcluster/internal/clock"
)

// WriteFile replaces the file by its new content in one step, so that a reader
// never sees half of it, also after the writer was killed.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %q: %w", path, errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}

// Write stores v as JSON.
func Write(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %q: %w", path, err)
	}
	return WriteFile(path, append(b, '\n'), 0o644)
}

// Read loads v. A file that is not there leaves v as it is and answers fs.ErrNotExist.
func Read(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %q: %w (the file is damaged: move it away, then run the command again)", path, err)
	}
	return nil
}

// Lock is held by one program at a time. The kernel gives it back when the
// holder ends, however it ends.
type Lock struct{ f *os.File }

// Acquire takes the lock, and calls waiting once when somebody else holds it.
func Acquire(ctx context.Context, c clock.Clock, path string, waiting func()) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	for told := false; ; {
		l, err := try(path)
		if l != nil || err != nil {
			return l, err
		}
		if !told {
			waiting()
			told = true
		}
		if err := c.Sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, fmt.Errorf("lock %q: %w", path, err)
		}
	}
}

// try answers nil, nil while somebody else holds the lock.
func try(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", path, errors.Join(err, f.Close()))
	}
	// The holder before us may have removed the file together with its folder:
	// then this is a lock on nothing.
	mine, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", path, errors.Join(err, f.Close()))
	}
	there, err := os.Stat(path)
	if err != nil || !os.SameFile(mine, there) {
		return nil, f.Close()
	}
	return &Lock{f}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.f.Close() }
