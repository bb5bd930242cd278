package record_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kaito.sh/kaito/localcluster/internal/clock"
	"kaito.sh/kaito/localcluster/internal/record"
)

func TestWriteReplacesWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "f")
	for _, content := range []string{"a long first content", "short"} {
		if err := record.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil || string(b) != content {
			t.Errorf("got %q, %v; want %q", b, err, content)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left beside the file: %v, %v", entries, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}

func TestReadTellsMissingFromDamaged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	var v map[string]string
	if err := record.Read(path, &v); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"a":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := record.Read(path, &v); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("damaged: %v", err)
	}
}

func TestLockIsHeldByOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c", "lock")
	c := clock.Clock{Now: time.Now, After: time.After}
	first, err := record.Acquire(t.Context(), c, path, func() { t.Error("nobody holds it") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if _, err := record.Acquire(ctx, c, path, stop); !errors.Is(err, context.Canceled) {
		t.Errorf("second holder while the first has it: %v", err)
	}
	// The first removes the folder, as down --purge does, and only then lets go.
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := record.Acquire(t.Context(), c, path, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the lock is on a file that is not there: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}
