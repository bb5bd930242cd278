// Package load is the verb "load".
package load

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/cli/target"
)

// New is the command.
func New(t *target.Target, launch target.Launch) *cobra.Command {
	return &cobra.Command{
		Use:   "load IMAGE.tar",
		Short: "Load an image archive into the nodes that run now",
		Long: `Load an image archive, as docker or OCI write it, into every node that runs. Nodes
that are added later do not get it: push to the registry what they all should have.`,
		Example: "  kaito local load web.tar",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			archive, err := filepath.Abs(args[0])
			if err == nil {
				_, err = os.Stat(archive)
			}
			if err != nil {
				return fmt.Errorf("load image: %w", err)
			}
			t.Out = cmd.ErrOrStderr()
			return launch(*t).Load(cmd.Context(), archive)
		},
	}
}
