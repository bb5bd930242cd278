// Command gen writes the JSON schemas of the runner's contracts from their Go types,
// so that the operator, the runner and the Python code cannot drift apart.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"kaito.sh/kaito/internal/runner/contract"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./gen FOLDER (run in the folder of the contract)")
		os.Exit(2)
	}
	if err := write(os.Args[1], "."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write renders the schemas into a folder, with the comments of the Go files in source.
func write(folder, source string) error {
	for _, name := range slices.Sorted(maps.Keys(schemas())) {
		out, err := render(name, source)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), out, 0o644); err != nil {
			return fmt.Errorf("write schema: %w", err)
		}
	}
	return nil
}

// schemas are the types behind the files, and what a type cannot say.
func schemas() map[string]func(said map[string]string) *schema {
	return map[string]func(map[string]string) *schema{
		"runner.json": func(said map[string]string) *schema {
			root := object(reflect.TypeFor[contract.Serve](), said)
			root.Title = "The file that the Kaito operator writes and kaito-runner reads"
			root.Properties["weights"].OneOf = oneOf("image", "hub")
			return root
		},
		"tune.json": func(said map[string]string) *schema {
			root := object(reflect.TypeFor[contract.Tune](), said)
			root.Title = "The file that the Kaito operator writes and all containers of a check and of a tuning pod read"
			root.Properties["weights"].OneOf = oneOf("image", "hub")
			root.Properties["input"].OneOf = oneOf("urls", "image", "volume")
			root.Properties["output"].OneOf = oneOf("image", "volume")
			root.Properties["method"].Enum = []string{"lora", "qlora"}
			return root
		},
	}
}

// oneOf says that exactly one of some fields is there.
func oneOf(names ...string) []schema {
	var all []schema
	for _, name := range names {
		all = append(all, schema{Required: []string{name}})
	}
	return all
}

// render returns a schema as indented JSON with keys in a fixed order.
func render(name, source string) ([]byte, error) {
	said, err := comments(source)
	if err != nil {
		return nil, err
	}
	root := schemas()[name](said)
	root.Schema = "http://json-schema.org/draft-07/schema#"
	root.Properties["apiVersion"].Enum = []string{contract.Version}

	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return buf.Bytes(), nil
}
