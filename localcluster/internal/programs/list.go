package programs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// A Listing tells what the cache holds of the wanted programs.
type Listing struct {
	// Bin is the folder that Ensure returns or would make.
	Bin  string
	Rows []Row
}

// A Row is one recipe in a listing.
type Row struct {
	Programs []string
	// State is "cached", "missing" or what is wrong.
	State string
	Build Build
}

// List looks at the cache and builds nothing.
func List(ctx context.Context, o Options) (Listing, error) {
	var l Listing
	o, err := o.withDefaults()
	if err != nil {
		return l, err
	}
	_, entries, err := plan(ctx, o)
	if err != nil {
		return l, err
	}
	l.Bin = filepath.Join(o.root(), binKey(entries), binDir)
	for _, e := range entries {
		row := Row{Programs: append(e.recipe.programs(), e.recipe.links...), State: "cached"}
		row.Build, err = e.stored(o.root())
		switch {
		case errors.Is(err, errNotStored):
			row.State = "missing"
		case err != nil:
			row.State = "damaged: " + err.Error()
		}
		row.Build.Recipe, row.Build.Key = e.recipe.name, e.key
		l.Rows = append(l.Rows, row)
	}
	return l, nil
}

// Write prints the listing as a table with the folder below it.
func (l Listing) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RECIPE\tKEY\tSTATE\tSIZE\tBUILT IN\tCPU\tPROGRAMS")
	for _, r := range l.Rows {
		b := r.Build
		bytes, wall, cpu := "-", "-", "-"
		if r.State == "cached" {
			bytes, wall, cpu = size(b.bytes()), round(b.Wall).String(), round(b.CPU).String()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", b.Recipe, b.Key, r.State, bytes, wall, cpu, strings.Join(r.Programs, " "))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the listing: %w", err)
	}
	_, err := fmt.Fprintf(w, "folder: %s\n", l.Bin)
	return err
}
