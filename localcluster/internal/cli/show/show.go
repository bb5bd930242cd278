// Package show holds the verbs that print one line: "kubeconfig" and "version".
package show

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/localcluster/internal/cli/target"
	"kaito.sh/kaito/localcluster/internal/cluster"
)

// Kubeconfig prints the path of the administrator's kubeconfig.
func Kubeconfig(t *target.Target, launch target.Launch) *cobra.Command {
	return &cobra.Command{
		Use:     "kubeconfig",
		Short:   "Print the path of the administrator's kubeconfig",
		Example: "  export KUBECONFIG=$(kaito local kubeconfig)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t.Out = cmd.ErrOrStderr()
			place, err := launch(*t).Place()
			if err != nil {
				return err
			}
			if _, err := os.Stat(place.Kubeconfig()); err != nil {
				return &cluster.NotThereError{Name: t.Name, Root: t.Root}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), place.Kubeconfig())
			return err
		},
	}
}

// Version prints the version.
func Version(version string) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  kaito local version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version)
			return err
		},
	}
}
