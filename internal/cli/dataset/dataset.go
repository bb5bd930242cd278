// Package dataset is `kaito dataset`: a look at training data before it is used.
package dataset

import (
	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/cli/shell"
)

// New is `kaito dataset`.
func New(sh shell.Shell) *cobra.Command {
	cmd := shell.Group(&cobra.Command{
		Use:   "dataset",
		Short: "Look at training data",
		Example: shell.Examples(sh.Name, `
			KAITO dataset check harbour.parquet
			KAITO dataset check https://data.example.com/train.jsonl -o json`),
	})
	cmd.AddCommand(newCheck(sh))
	return cmd
}
