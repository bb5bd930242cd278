// Package down is the verb "down".
package down

import (
	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/cli/target"
	"kaito.sh/kaito/localcluster/internal/cluster"
)

// New is the command.
func New(t *target.Target, launch target.Launch) *cobra.Command {
	keep := cluster.Data
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the cluster and leave the machine as it was",
		Long: `Stop the cluster and take away its processes, mounts, links, routes and control
groups, also when it was killed before. The last cluster to go restores the
kernel's settings. Its data stays for the next up, unless --purge is given.`,
		Example: `  kaito-localcluster down
  kaito-localcluster down --purge --name other`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.Out = cmd.ErrOrStderr()
			return launch(*t).Down(cmd.Context(), keep)
		},
	}
	cmd.Flags().BoolFunc("purge", "remove the cluster's data too: objects, registry, volumes, nodes", func(string) error {
		keep = cluster.Nothing
		return nil
	})
	return cmd
}
