package modelfacts

import (
	"strings"
	"testing"

	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/model"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Qwen/Qwen3-4B-Instruct-2507":        "qwen3-4b-instruct-2507",
		"meta-llama/Llama-3.1-8B":            "llama-3.1-8b",
		"owner/Under_Scored__Name":           "under-scored-name",
		"SmolLM2-135M-Instruct.Q4_1.gguf":    "smollm2-135m-instruct.q4-1",
		"owner/.-odd-.":                      "odd",
		"owner/über modell":                  "ber-modell",
		"owner/___":                          "model",
		"":                                   "model",
		"owner/" + strings.Repeat("a-", 100): strings.TrimSuffix(strings.Repeat("a-", 64), "-"),
	} {
		if got := model.IDOf(name); got != want {
			t.Errorf("IDOf(%q) is %q, want %q", name, got, want)
		}
	}
}

// FuzzID: whatever a publisher calls a model, a catalog takes its id.
func FuzzID(f *testing.F) {
	f.Add("Qwen/Qwen3-4B")
	f.Add("a/..--..")
	f.Add("ÄÖ/ß.gguf")
	f.Fuzz(func(t *testing.T, name string) {
		m := model.Model{ID: model.IDOf(name), Licence: "MIT", Context: 1, Forms: map[model.Form]model.Weights{model.FormHF: {Size: 1}}}
		if _, err := catalog.Write(catalog.Page{Model: m, Source: "a test"}); err != nil {
			t.Errorf("%q makes %q: %v", name, m.ID, err)
		}
	})
}
