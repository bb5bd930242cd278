package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestBenchWritesEveryFigureWithItsConditions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "results.json")
	var table, progress bytes.Buffer
	if err := run(t.Context(), []string{"-run", "model", "-bytes", "1000000", "-out", file, "-dir", t.TempDir()}, &table, &progress); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var results []result
	if err := json.Unmarshal(raw, &results); err != nil {
		t.Fatal(err)
	}
	if len(results) != 8 {
		t.Errorf("%d figures, want 8:\n%s", len(results), &table)
	}
	for _, r := range results {
		if r.Value <= 0 || r.Unit == "" || r.Conditions["cores"] == "" || r.Conditions["load"] == "" {
			t.Errorf("figure without meaning: %+v", r)
		}
	}
}
