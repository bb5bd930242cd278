package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"
)

const folder = "../../../../runtimes/schema"

func TestSchemaInTheTreeIsTheGeneratedOne(t *testing.T) {
	t.Parallel()
	for name := range schemas() {
		want, err := render(name, "..")
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("runtimes/schema/%s is not what the Go type says; run go generate ./internal/runner/contract (-want +got):\n%s", name, diff)
		}
	}
}

func TestSchemaOfATuningTakesTheExamplesAndRefusesTheirFaults(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join(folder, "examples", "tune", "*.json"))
	if err != nil || len(names) < 4 {
		t.Fatalf("golden examples: %v, %v", names, err)
	}
	for _, name := range names {
		if errs := check(t, "tune.json", name, func(map[string]any) {}); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
		}
	}
	one := filepath.Join(folder, "examples", "tune", "smollm2-qlora.json")
	for fault, change := range map[string]func(map[string]any){
		"a missing run":            func(m map[string]any) { delete(m, "runID") },
		"a method in capitals":     func(m map[string]any) { m["method"] = "QLoRA" },
		"an unknown field":         func(m map[string]any) { m["extra"] = "x" },
		"no threads":               func(m map[string]any) { m["threads"] = float64(0) },
		"rows of no length":        func(m map[string]any) { m["model"].(map[string]any)["maxLength"] = float64(0) },
		"data from nowhere":        func(m map[string]any) { m["input"] = map[string]any{} },
		"data from two places":     func(m map[string]any) { m["input"].(map[string]any)["volume"] = true },
		"an adapter to nowhere":    func(m map[string]any) { m["output"] = map[string]any{"secretName": "x"} },
		"a section that is a list": func(m map[string]any) { m["settings"].(map[string]any)["LoraConfig"] = []any{} },
		"another version":          func(m map[string]any) { m["apiVersion"] = "runner.kaito.sh/v9" },
	} {
		if errs := check(t, "tune.json", one, change); len(errs) == 0 {
			t.Errorf("the schema takes %s", fault)
		}
	}
}

func TestSchemaTakesTheExamplesAndRefusesTheirFaults(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join(folder, "examples", "*.json"))
	if err != nil || len(names) < 3 {
		t.Fatalf("golden examples: %v, %v", names, err)
	}
	for _, name := range names {
		if errs := check(t, "runner.json", name, func(map[string]any) {}); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
		}
	}
	minimal := filepath.Join(folder, "examples", "minimal.json")
	for fault, change := range map[string]func(map[string]any){
		"a missing engine":   func(m map[string]any) { delete(m, "engine") },
		"an unknown field":   func(m map[string]any) { m["extra"] = "x" },
		"an empty command":   func(m map[string]any) { m["engine"].(map[string]any)["command"] = []any{} },
		"an empty model id":  func(m map[string]any) { m["model"].(map[string]any)["id"] = "" },
		"a context of zero":  func(m map[string]any) { m["model"].(map[string]any)["context"] = float64(0) },
		"a limit below zero": func(m map[string]any) { m["limits"].(map[string]any)["maxInFlight"] = float64(-1) },
		"another version":    func(m map[string]any) { m["apiVersion"] = "runner.kaito.sh/v9" },
		"weights from nowhere": func(m map[string]any) {
			m["weights"] = map[string]any{"dir": "/weights/model"}
		},
		"weights from two places": func(m map[string]any) {
			m["weights"] = map[string]any{
				"dir":   "/weights/model",
				"image": map[string]any{"reference": "registry.local:5000/m:1"},
				"hub":   map[string]any{"endpoint": "https://huggingface.co", "repository": "a/b", "revision": "main"},
			}
		},
		"an image without a reference": func(m map[string]any) {
			m["weights"] = map[string]any{"dir": "/weights/model", "image": map[string]any{"plainHTTP": true}}
		},
		"a word for the limits": func(m map[string]any) { m["limits"] = "none" },
	} {
		if errs := check(t, "runner.json", minimal, change); len(errs) == 0 {
			t.Errorf("the schema takes %s", fault)
		}
	}
}

// check validates the changed file against the schema in the tree.
func check(t *testing.T, against, name string, change func(map[string]any)) []error {
	t.Helper()
	var s spec.Schema
	read(t, filepath.Join(folder, against), &s)
	var doc map[string]any
	read(t, name, &doc)
	change(doc)
	return validate.NewSchemaValidator(&s, nil, "", strfmt.Default).Validate(doc).Errors
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
