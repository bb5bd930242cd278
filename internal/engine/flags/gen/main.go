// Command gen makes the table of llama-server from what the program says about
// itself: `llama-server --help`, kept in testdata.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	help := flag.String("help-text", "", "what llama-server --help says")
	out := flag.String("out", "", "the table to write")
	version := flag.String("llama-version", "", "the version of the program")
	flag.Parse()
	if err := run(*help, *out, *version); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(help, out, version string) error {
	text, err := os.ReadFile(help)
	if err != nil {
		return fmt.Errorf("read the help: %w", err)
	}
	data, err := encode(table(string(text), version))
	if err != nil {
		return err
	}
	return os.WriteFile(out, data, 0o644)
}
