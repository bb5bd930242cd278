// Package up is the verb "up".
package up

import (
	"fmt"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/cli/target"
	"kaito.sh/kaito/localcluster/internal/cluster"
	"kaito.sh/kaito/localcluster/internal/state"
)

// mostNodes is the largest number of nodes that one up starts.
const mostNodes = 5

type flags struct {
	nodes   int
	minDisk string
}

// New is the command.
func New(t *target.Target, launch target.Launch) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the cluster, or repair it",
		Long: `Start the cluster and wait until its nodes are Ready. A cluster that runs already is
left as it is; of one that is down or half dead, what is missing is started, with
its data as before. Nodes are added up to the wanted number and never removed.`,
		Example: `  kaito local up
  kaito local up --nodes 3

  # a second cluster beside the first
  kaito local up --name other`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.nodes < 1 && cmd.Flags().Changed("nodes") || f.nodes > mostNodes {
				return fmt.Errorf("--nodes %d: give 1 to %d", f.nodes, mostNodes)
			}
			least, err := state.ParseMemory(f.minDisk)
			if err != nil {
				return fmt.Errorf("--min-disk: %w", err)
			}
			t.Out = cmd.ErrOrStderr()
			l := launch(*t)
			if err := l.Up(cmd.Context(), cluster.UpOptions{Nodes: f.nodes, MinDisk: least}); err != nil {
				return err
			}
			place, err := l.Place()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "cluster %q is up: export KUBECONFIG=%s\n", t.Name, place.Kubeconfig())
			return err
		},
	}
	cmd.Flags().IntVar(&f.nodes, "nodes", 0, "number of nodes to have at least (default: those there are, or 1)")
	cmd.Flags().StringVar(&t.Programs, "programs", "", "folder of the programs (default: the cache, built where needed)")
	cmd.Flags().StringVar(&f.minDisk, "min-disk", "20Gi", "room that must be free under the data root")
	return cmd
}
