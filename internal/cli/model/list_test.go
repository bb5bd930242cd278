package model

import (
	"bytes"
	"strings"
	"testing"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/cli/shell"
)

// Every model that is shipped has a row, with its own name first.
func TestModelsAreListed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd := New(shell.Shell{Name: "kaito", Out: &out})
	cmd.SetArgs([]string{"list"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	models, err := catalog.LoadLines(shipped.Lines)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	ids := models.IDs()
	if len(lines) != len(ids)+1 {
		t.Fatalf("%d lines for %d models", len(lines), len(ids))
	}
	for i, id := range ids {
		if strings.Fields(lines[i+1])[0] != id {
			t.Errorf("line %q is not about %s", lines[i+1], id)
		}
	}
	if want := "smollm2-135m-instruct 257 MiB 94 MiB 8192 yes HuggingFaceTB/SmolLM2-135M-Instruct"; !strings.Contains(strings.Join(strings.Fields(out.String()), " "), want) {
		t.Errorf("lacks %q:\n%s", want, &out)
	}
}
