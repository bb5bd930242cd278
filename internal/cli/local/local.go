// Package local hands `kaito local …` over to the program that runs the local
// cluster. It is built from a module of its own, whose dependencies are those of
// Kubernetes itself, and stands beside this program.
package local

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/cli/shell"
)

// Program is the name of the sibling.
const Program = "kaito-localcluster"

// New is `kaito local`.
func New(sh shell.Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "local ARGS…",
		Short: "Run a real Kubernetes on this machine",
		Example: shell.Examples(sh.Name, `
			KAITO local up
			KAITO local status
			KAITO local down`),
		// Every flag, --help included, is the sibling's.
		DisableFlagParsing: true,
		RunE:               func(_ *cobra.Command, args []string) error { return run(sh, args) },
	}
}

// run becomes the sibling: arguments, streams, signals and exit code are its own.
func run(sh shell.Shell, args []string) error {
	self, err := sh.Executable()
	if err != nil {
		return fmt.Errorf("find our own program: %w", err)
	}
	// As kubectl's plugin we may be a link somewhere else on the PATH.
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	sibling := filepath.Join(filepath.Dir(self), Program)
	if _, err := os.Stat(sibling); err != nil {
		return fmt.Errorf("find the local cluster's program: %w; build it with: make build", err)
	}
	if err := sh.Exec(sibling, append([]string{sibling}, args...)); err != nil {
		return fmt.Errorf("start %s: %w", sibling, err)
	}
	return nil
}
