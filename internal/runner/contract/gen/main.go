// Command gen writes the JSON schema of the runner's contract from its Go type,
// so that the operator, the runner and the Python tests cannot drift apart.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"kaito.sh/kaito/internal/runner/contract"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./gen SCHEMA.json (run in the folder of the contract)")
		os.Exit(2)
	}
	if err := write(os.Args[1], "."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write renders the schema with the comments of the Go files in folder.
func write(path, folder string) error {
	out, err := render(folder)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, out, 0o644); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return nil
}

// render returns the schema as indented JSON with keys in a fixed order.
func render(folder string) ([]byte, error) {
	said, err := comments(folder)
	if err != nil {
		return nil, err
	}
	root := object(reflect.TypeFor[contract.Serve](), said)
	root.Schema = "http://json-schema.org/draft-07/schema#"
	root.Title = "The file that the Kaito operator writes and kaito-runner reads"
	root.Properties["apiVersion"].Enum = []string{contract.Version}
	root.Properties["weights"].OneOf = []schema{{Required: []string{"image"}}, {Required: []string{"hub"}}}

	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return buf.Bytes(), nil
}
