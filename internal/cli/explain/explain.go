// Package explain is `kaito explain`: all that is known about one Workspace, why
// it is as it is, and what to do next.
package explain

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

// New is `kaito explain`.
func New(sh shell.Shell) *cobra.Command {
	var flags cluster.Flags
	output := "text"
	cmd := &cobra.Command{
		Use:   "explain WORKSPACE",
		Short: "Say why a Workspace is as it is, and what to do next",
		Long: `Say why a Workspace is as it is: its conditions as the chain in which each waits
for the one before it, the plan, the times of the start, its objects and pods
with how they ended, and recent events. The last line says what to do next.

What you have no right to read is left out and named.`,
		Example: shell.Examples(sh.Name, `
			KAITO explain smollm2
			KAITO explain smollm2 --namespace chat --output json`),
		Args: shell.Exactly("WORKSPACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"text", "json"}, output) {
				return shell.Usage(cmd, "-o %s is not one of text and json", output)
			}
			c, err := cluster.Open(sh, flags)
			if err != nil {
				return err
			}
			seen, err := observe(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			r := report(seen, sh.Name, sh.Now())
			if output == "json" {
				e := json.NewEncoder(sh.Out)
				e.SetIndent("", "  ")
				return e.Encode(r)
			}
			_, err = fmt.Fprint(sh.Text(), text(r))
			return err
		},
	}
	flags.Bind(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", output, "`FORMAT`: text or json")
	return cmd
}
