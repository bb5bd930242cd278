// Command kaito packages models, looks at Workspaces and talks to them, and runs a
// local cluster. Installed under the name kubectl-kaito it is a plugin of kubectl.
package main

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/term"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"kaito.sh/kaito/internal/cli"
	"kaito.sh/kaito/internal/cli/shell"
)

func main() {
	// Kubernetes' client writes its own lines to standard error; what a person needs to know comes as an error.
	klog.SetLogger(logr.Discard())
	ctx, end := context.WithCancelCause(context.Background())
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	keys := listen(func() { end(shell.ErrInterrupted) })
	code := cli.Run(ctx, shell.Shell{
		Name:        cli.NameOf(os.Args[0]),
		In:          os.Stdin,
		Out:         os.Stdout,
		Err:         os.Stderr,
		Terminal:    terminal(os.Stderr),
		InTerminal:  terminal(os.Stdin),
		OutTerminal: terminal(os.Stdout),
		Width:       func() int { return width(os.Stdout) },
		OnInterrupt: keys.onInterrupt,
		Kubeconfig:  clientcmd.NewDefaultClientConfigLoadingRules().GetLoadingPrecedence(),
		Now:         time.Now,
		Sleep:       sleep,
		Executable:  os.Executable,
		Exec:        func(path string, argv []string) error { return syscall.Exec(path, argv, os.Environ()) },
		Keychain:    authn.DefaultKeychain,
		HubEndpoint: cmp.Or(os.Getenv("HF_ENDPOINT"), "https://huggingface.co"),
		HubToken:    os.Getenv("HF_TOKEN"),
	}, os.Args[1:])
	stop()
	os.Exit(code)
}

// terminal says whether the file is a terminal that understands more than lines.
func terminal(f *os.File) bool {
	return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// width is how many characters a line of the terminal has, or 0.
func width(f *os.File) int {
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
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
