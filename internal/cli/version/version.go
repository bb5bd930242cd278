// Package version is `kaito version`: what this program was built from and, where a
// cluster can be reached, which operator runs there.
package version

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/buildinfo"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

// patience is how long the cluster may take: the version of this program is known without it.
const patience = 3 * time.Second

// New is `kaito version`.
func New(sh shell.Shell) *cobra.Command {
	var (
		flags  cluster.Flags
		client bool
	)
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program and of the operator",
		Example: shell.Examples(sh.Name, `
			KAITO version
			KAITO version --client`),
		Args: shell.Exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := fmt.Fprintln(sh.Out, buildinfo.Long("kaito")); err != nil || client {
				return err
			}
			c, err := cluster.Open(sh, flags)
			var none *cluster.NoConfigError
			if errors.As(err, &none) {
				return nil
			}
			if err != nil {
				return err
			}
			return operators(cmd.Context(), sh, c)
		},
	}
	flags.Bind(cmd)
	cmd.Flags().BoolVar(&client, "client", false, "ask no cluster")
	return cmd
}

// operators is one line for each operator. That none can be seen is no failure.
func operators(ctx context.Context, sh shell.Shell, c *cluster.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := c.Operators(ctx)
	if err != nil {
		_, _ = fmt.Fprintf(sh.Err, "The operator is not seen: %v\n", err)
		return nil
	}
	if len(found) == 0 {
		_, _ = fmt.Fprintln(sh.Err, "No operator runs in the cluster")
	}
	for _, o := range found {
		_, _ = fmt.Fprintf(sh.Out, "%s %s in namespace %s (%d of %d ready)\n", o.Name, o.Version, o.Namespace, o.Ready, o.Wants)
	}
	return nil
}
