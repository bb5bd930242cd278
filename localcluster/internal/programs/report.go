package programs

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// report prints what each build took, and all of them together.
func report(w io.Writer, builds []Build) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROGRAM\tWALL\tCPU\tPACKAGES\tSIZE\t")
	var total Build
	for _, b := range builds {
		if !b.Fresh {
			fmt.Fprintf(t, "%s\tcached\t-\t-\t%s\t\n", b.Recipe, size(b.bytes()))
			continue
		}
		total.Wall += b.Wall
		total.CPU += b.CPU
		total.Packages += b.Packages
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t\n", b.Recipe, round(b.Wall), round(b.CPU), b.Packages, size(b.bytes()))
	}
	fmt.Fprintf(t, "all\t%s\t%s (%.1f CPU minutes)\t%d\t\t\n", round(total.Wall), round(total.CPU), total.CPU.Minutes(), total.Packages)
	_ = t.Flush()
}

func (b Build) bytes() int64 {
	var n int64
	for _, s := range b.Sizes {
		n += s
	}
	return n
}

// round cuts a duration to what a person reads.
func round(d time.Duration) time.Duration {
	if d < time.Minute {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// size writes bytes for a person.
func size(n int64) string {
	const mega, giga = 1 << 20, 1 << 30
	if n >= giga {
		return fmt.Sprintf("%.1f GiB", float64(n)/giga)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/mega)
}
