// Command gen writes the models of catalog/*.yaml as lines of JSON, which programs read at
// their start.
package main

import (
	"flag"
	"fmt"
	"os"

	"kaito.sh/kaito/internal/catalog"
)

func main() {
	folder := flag.String("folder", "../../catalog", "`DIR` with the YAML files")
	out := flag.String("out", "../../catalog/models.jsonl", "`FILE` to write")
	flag.Parse()
	lines, err := catalog.Lines(os.DirFS(*folder))
	if err == nil {
		err = os.WriteFile(*out, lines, 0o644)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
