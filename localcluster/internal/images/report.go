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

// provisioner is the image that charts/kaito hands on to a chart that is a part of it.
const provisioner = "gpu-provisioner"

// Values is the Helm values file that names each image with its digest, for every chart.
func Values(records map[string]Record) []byte {
	var b strings.Builder
	b.WriteString("# Written by `make images`: the images of this checkout by digest, for helm -f.\nimages:\n")
	for _, name := range slices.Sorted(maps.Keys(records)) {
		b.WriteString(value("  ", name, records[name]))
	}
	if record, made := records[provisioner]; made {
		b.WriteString("# For the provisioner as a part of charts/kaito.\ngpuProvisioner:\n  images:\n" + value("    ", provisioner, record))
	}
	return []byte(b.String())
}

// value is one image in a values file.
func value(indent, name string, r Record) string {
	return fmt.Sprintf("%[1]s%[2]s:\n%[1]s  repository: %[3]s\n%[1]s  tag: %[4]s\n%[1]s  digest: %[5]s\n", indent, name, Repository+name, Tag, r.Digest)
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
