package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockPause is how long a builder waits before it asks for the lock again.
const lockPause = 500 * time.Millisecond

// lock waits until no other process builds into the cache, and returns what gives
// the lock back. The kernel gives it back too when the process dies.
func lock(ctx context.Context, o Options) (unlock func(), err error) {
	if err := os.MkdirAll(o.root(), 0o755); err != nil {
		return nil, fmt.Errorf("make the cache of programs (set KAITO_CACHE to a folder that can be written): %w", err)
	}
	path := filepath.Join(o.root(), "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the cache: %w", err)
	}
	for told := false; ; told = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if !told {
			holder, _ := os.ReadFile(path)
			fmt.Fprintf(o.Out, "waiting for the builder with process id %s\n", strings.TrimSpace(string(holder)))
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the lock %s: %w", path, ctx.Err()), f.Close())
		case <-o.Clock.After(lockPause):
		}
	}
	// The content only tells others whom they wait for; losing it does no harm.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	return func() { _ = f.Close() }, nil
}
