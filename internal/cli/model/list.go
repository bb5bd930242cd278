package model

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/model"
)

// newList is `kaito model list`.
func newList(sh shell.Shell) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the models that Kaito ships",
		Long: `List the models that Kaito ships, by the name that a Workspace and kaito plan give them,
with the size of their weights in each form and their longest context. Others are added
with kaito model import, or named as owner/name where the operator asks the hub.`,
		Example: shell.Examples(sh.Name, `
			KAITO model list`),
		Args: shell.Exactly(),
		RunE: func(*cobra.Command, []string) error { return list(sh) },
	}
}

// list prints a row for each model, sorted by id.
func list(sh shell.Shell) error {
	models, err := catalog.LoadLines(shipped.Lines)
	if err != nil {
		return fmt.Errorf("read the catalog: %w", err)
	}
	t := tabwriter.NewWriter(sh.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "MODEL\tSAFETENSORS\tGGUF\tCONTEXT\tTUNED\tHUB")
	for _, id := range models.IDs() {
		m, _ := models.Lookup(id)
		tuned := "no"
		if m.Tuning != nil {
			tuned = "yes"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", m.ID, size(m, model.FormHF), size(m, model.FormGGUF), m.Context, tuned, m.HubID)
	}
	return t.Flush()
}

// size is that of the weights in a form, where there is one.
func size(m model.Model, form model.Form) string {
	if w, ok := m.Forms[form]; ok {
		return w.Size.String()
	}
	return "-"
}
