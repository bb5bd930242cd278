package images

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is one line of the table at the end.
type row struct {
	name, state string
	record      Record
	built       bool
}

// Values is the Helm values file that names each image with its digest.
func Values(records map[string]Record) []byte {
	var b strings.Builder
	b.WriteString("# Written by `make images`: the images of this checkout by digest, for helm -f.\nimages:\n")
	for _, name := range slices.Sorted(maps.Keys(records)) {
		_, _ = fmt.Fprintf(&b, "  %s:\n    repository: %s\n    tag: %s\n    digest: %s\n", name, Repository+name, Tag, records[name].Digest)
	}
	return []byte(b.String())
}

// printTable says what each image cost; times of an image that was not built now are
// those of its last build, in brackets.
func (b *Builder) printTable() {
	w := tabwriter.NewWriter(b.options.Progress, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nIMAGE\tSTATE\tSIZE\tCPU\tWALL\tDIGEST")
	for _, r := range b.rows {
		cpu, wall := seconds(r.record.CPU), seconds(r.record.Wall)
		if !r.built {
			cpu, wall = "("+cpu+")", "("+wall+")"
		}
		size, digest := fmt.Sprintf("%.1f MB", float64(r.record.Size())/1e6), r.record.Digest
		if digest == "" { // the models are several images
			size, digest = "-", "-"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.name, r.state, size, cpu, wall, digest)
	}
	_ = w.Flush() // to a terminal or a file that is gone: nothing is lost but the table
	_, _ = fmt.Fprintf(b.options.Progress, "\nall: %.1f CPU minutes; %s\n", b.cpu().Minutes(), b.options.Values)
}
