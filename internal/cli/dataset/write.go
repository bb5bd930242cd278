package dataset

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/dataset"
)

// writers are the values of -o.
func writers() map[string]func(shell.Shell, dataset.Summary) error {
	return map[string]func(shell.Shell, dataset.Summary) error{
		"table": writeTable,
		"json": func(sh shell.Shell, sum dataset.Summary) error {
			e := json.NewEncoder(sh.Out)
			e.SetIndent("", "  ")
			return e.Encode(sum)
		},
	}
}

// digestShown is how much of a digest stands in a table.
const digestShown = 12

func writeTable(sh shell.Shell, sum dataset.Summary) error {
	out := sh.Text() // names of files are words of others
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(t, "FILE\tFORMAT\tROWS\tSIZE\tSHA256")
	for _, f := range sum.Files {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", f.Name, f.Format, f.Rows, shell.Bytes(f.Bytes), f.SHA256[:digestShown])
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	least := ""
	if sum.AtLeast {
		least = "at least "
	}
	t = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "\nshape\t%s\n", sum.Shape)
	_, _ = fmt.Fprintf(t, "rows\t%d to train on\n", sum.Rows)
	_, _ = fmt.Fprintf(t, "empty\t%d%s\n", sum.EmptyRows, first(sum))
	_, _ = fmt.Fprintf(t, "duplicates\t%s%d\n", least, sum.DuplicateRows)
	_, _ = fmt.Fprintf(t, "size\t%s\n", shell.Bytes(sum.Bytes))
	_, _ = fmt.Fprintf(t, "digest\t%s\n", sum.Digest)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

// first names the first rows that are skipped.
func first(sum dataset.Summary) string {
	text := ""
	for i, at := range sum.FirstEmpty {
		lead := ", skipped: "
		if i > 0 {
			lead = ", "
		}
		text += fmt.Sprintf("%srow %d of %s", lead, at.Row, at.File)
	}
	if sum.EmptyRows > int64(len(sum.FirstEmpty)) {
		text += " …"
	}
	return text
}
