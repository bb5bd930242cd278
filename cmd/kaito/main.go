// Command kaito packages models and runs a local cluster. Installed under the
// name kubectl-kaito it is a plugin of kubectl.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"kaito.sh/kaito/internal/cli"
	"kaito.sh/kaito/internal/cli/shell"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, shell.Shell{
		Name:       cli.NameOf(os.Args[0]),
		Out:        os.Stdout,
		Err:        os.Stderr,
		Terminal:   terminal(os.Stderr),
		Now:        time.Now,
		Sleep:      sleep,
		Executable: os.Executable,
		Exec:       func(path string, argv []string) error { return syscall.Exec(path, argv, os.Environ()) },
		Keychain:   authn.DefaultKeychain,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}

// terminal says whether a person watches the file.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// sleep waits, or ends early with the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
