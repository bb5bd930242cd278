// Package down is the verb "down".
package down

import (
	"errors"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/cli/target"
	"kaito.sh/kaito/localcluster/internal/cluster"
)

// New is the command.
func New(t *target.Target, launch target.Launch) *cobra.Command {
	keep, all := cluster.Data, false
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the cluster and leave the machine as it was",
		Long: `Stop the cluster and take away its processes, mounts, links, routes and control
groups, also when it was killed before. The last cluster to go restores the
kernel's settings. Its data stays for the next up, unless --purge is given.`,
		Example: `  kaito local down
  kaito local down --purge --name other

  # every cluster of this data root, with its data
  kaito local down --all --purge`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.Out = cmd.ErrOrStderr()
			if !all {
				return launch(*t).Down(cmd.Context(), keep)
			}
			if cmd.Flags().Changed("name") {
				return errors.New("--all and --name: give one of them")
			}
			names, err := launch(*t).Names()
			if err != nil {
				return err
			}
			var errs []error
			for _, name := range names {
				one := *t
				one.Name = name
				errs = append(errs, launch(one).Down(cmd.Context(), keep))
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every cluster of the data root")
	cmd.Flags().BoolFunc("purge", "remove the cluster's data too: objects, registry, volumes, nodes", func(string) error {
		keep = cluster.Nothing
		return nil
	})
	return cmd
}
