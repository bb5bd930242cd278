package tune

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

func newReport(sh shell.Shell) *cobra.Command {
	var flags cluster.Flags
	var file string
	cmd := &cobra.Command{
		Use:   "report WORKSPACE",
		Short: "Write one HTML file about a training: its loss curve and the run's facts",
		Long: `Write one HTML file about a training: the loss curve, the data set, the settings,
the image and its digest, the node and how long each part took. The file needs nothing
else: no network, no script. It can be written while the training goes on.

What it says is in the Workspace's status; the settings, which are not, come from the
ConfigMap that the run reads, if you may read it.`,
		Example: shell.Examples(sh.Name, `
			KAITO tune report workspace-tuning-phi-3
			KAITO tune report workspace-tuning-phi-3 -n team -o report.html
			KAITO tune report workspace-tuning-phi-3 -o - | less`),
		Args: shell.Exactly("WORKSPACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := cluster.Open(sh, flags)
			if err != nil {
				return err
			}
			ws, err := read(cmd.Context(), sh, c, args[0])
			if err != nil {
				return err
			}
			settings, err := settingsOf(cmd.Context(), c, ws)
			if err != nil {
				return err
			}
			page, err := render(pageOf(ws, settings, sh.Now()))
			if err != nil {
				return err
			}
			if file == "" {
				file = args[0] + ".html"
			}
			return write(sh, file, page)
		},
	}
	flags.Bind(cmd)
	cmd.Flags().StringVarP(&file, "output", "o", "", "`FILE` to write, replaced if it is there; - is standard output (default: WORKSPACE.html)")
	return cmd
}

func write(sh shell.Shell, file string, page []byte) error {
	if file == "-" {
		_, err := sh.Out.Write(page)
		return err
	}
	if err := os.WriteFile(file, page, 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	_, err := fmt.Fprintf(sh.Err, "Wrote %s, %s\n", file, shell.Bytes(int64(len(page))))
	return err
}

// settings are the sections of a training configuration, with their defaults.
type settings map[string]map[string]any

// settingsOf reads what the run's containers read. That of another run, and one that is
// not there or not to be read, is none.
func settingsOf(ctx context.Context, c *cluster.Cluster, ws *v1beta1.Workspace) (settings, error) {
	if ws.Status.Tuning == nil {
		return nil, nil
	}
	var m corev1.ConfigMap
	err := c.Get(ctx, ws.Namespace, ws.Name+"-tune", &m)
	var denied *cluster.DeniedError
	switch {
	case apierrors.IsNotFound(err), errors.As(err, &denied):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the settings of the run: %w", err)
	}
	var run struct {
		RunID    string   `json:"runID"`
		Settings settings `json:"settings"`
	}
	if err := json.Unmarshal([]byte(m.Data["tune.json"]), &run); err != nil || run.RunID != ws.Status.Tuning.RunID {
		return nil, nil //nolint:nilerr // the ConfigMap of somebody else, or of another run
	}
	return run.Settings, nil
}
