// Package shell is what a person's shell gives to a verb of the CLI: streams, a
// clock, and the ways out of the process. cmd/kaito fills it, tests fake it.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/near"
)

// Exit codes of every verb.
const (
	ExitOK      = 0
	ExitFailure = 1
	ExitUsage   = 2
	// ExitInterrupted is 128 + SIGINT, as shells count.
	ExitInterrupted = 130
)

// Shell is the world outside of the process.
type Shell struct {
	// Name is how the user calls the program: "kaito" or "kubectl kaito".
	Name string
	// In is what is typed or piped in.
	In io.Reader
	// Out is for results, Err for progress and complaints.
	Out, Err io.Writer
	// Terminal says that Err is read by a person right now.
	Terminal bool
	// InTerminal says that a person types In, OutTerminal that one reads Out.
	InTerminal, OutTerminal bool
	// Width is how many characters a line of Out has; nil, or 0, does not know.
	Width func() int
	// OnInterrupt sets what Ctrl-C does, until restore; before and after, the program ends. Nil knows no Ctrl-C.
	OnInterrupt func(stop func()) (restore func())
	// Kubeconfig are the files that say where the cluster is, the first wins.
	Kubeconfig []string
	// Now and Sleep are the clock.
	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error
	// Executable is the path of this program.
	Executable func() (string, error)
	// Exec replaces this process; it returns only when that did not work.
	Exec func(path string, argv []string) error
	// Keychain finds registry credentials where --docker-config does not say.
	Keychain authn.Keychain
	// Transport carries requests to registries and hubs; nil is the ordinary one.
	Transport http.RoundTripper
	// HubEndpoint is the hub, and HubToken what opens it, where flags say neither.
	HubEndpoint, HubToken string
}

// ErrInterrupted is the end of a verb that its user has stopped.
var ErrInterrupted = errors.New("interrupted")

// Interruptible is a context that ends with the next Ctrl-C, which then ends nothing else.
func (s Shell) Interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	restore := func() {}
	if s.OnInterrupt != nil {
		restore = s.OnInterrupt(func() { cancel(ErrInterrupted) })
	}
	return ctx, func() {
		restore()
		cancel(nil)
	}
}

// UsageError says that the command line was wrong, not the world.
type UsageError struct {
	Err error
	// Help is the command whose help would have told.
	Help string
}

// Error names the help that would have told.
func (e *UsageError) Error() string { return fmt.Sprintf("%v; see: %s --help", e.Err, e.Help) }

func (e *UsageError) Unwrap() error { return e.Err }

// Usage is a UsageError of the command.
func Usage(cmd *cobra.Command, format string, args ...any) error {
	return &UsageError{Err: fmt.Errorf(format, args...), Help: cmd.CommandPath()}
}

// AtMostOne is a check for one argument that may be left out.
func AtMostOne() cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return Usage(cmd, "unexpected argument %q", args[1])
		}
		return nil
	}
}

// Exactly is a check for the number of arguments, named as in the usage line.
func Exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return Usage(cmd, "%s is missing", names[len(args)])
		case len(args) > len(names):
			return Usage(cmd, "unexpected argument %q", args[len(names)])
		default:
			return nil
		}
	}
}

// Group makes a command that only holds others: alone it shows its help, with a
// word that it does not know it says so.
func Group(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		if close := near.Names(args[0], cmd.SuggestionsFor(args[0])); len(close) > 0 {
			return Usage(cmd, "unknown command %q, did you mean %q?", args[0], close[0])
		}
		return Usage(cmd, "unknown command %q", args[0])
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// ExitCode is what a program ends with after err.
func ExitCode(err error) int {
	var usage *UsageError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage):
		return ExitUsage
	case errors.Is(err, ErrInterrupted):
		return ExitInterrupted
	default:
		return ExitFailure
	}
}

// Examples renders the examples of a help text: lines are indented alike and
// KAITO is what the user typed.
func Examples(name, text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			l = "  " + strings.ReplaceAll(l, "KAITO", name)
		}
		lines[i] = l
	}
	return strings.Join(lines, "\n")
}
