// Package tune is `kaito tune`: how a training goes, and what came of it.
package tune

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

// New is `kaito tune`.
func New(sh shell.Shell) *cobra.Command {
	cmd := shell.Group(&cobra.Command{
		Use:   "tune",
		Short: "Watch the training of a model, and report on it",
		Example: shell.Examples(sh.Name, `
			KAITO tune watch workspace-tuning-phi-3
			KAITO tune report workspace-tuning-phi-3 -o report.html`),
	})
	cmd.AddCommand(newWatch(sh), newReport(sh))
	return cmd
}

// read is the Workspace, if it tunes a model.
func read(ctx context.Context, sh shell.Shell, c *cluster.Cluster, name string) (*v1beta1.Workspace, error) {
	ws, err := c.Workspace(ctx, name)
	if err != nil {
		return nil, err
	}
	if ws.Tuning == nil {
		return nil, fmt.Errorf("Workspace %q serves a model and tunes none; see: %s explain %s -n %s", name, sh.Name, name, c.Namespace) //nolint:staticcheck // Workspace is a name
	}
	return ws, nil
}
