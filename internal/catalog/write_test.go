package catalog_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/model"
)

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	models := all(t)
	odd := models[0]
	odd.ID, odd.HubID, odd.Licence, odd.Experts, odd.ExpertsPerToken, odd.RemoteCode = "1e3", "", "yes: \"it\" # is\n\t…", 8, 2, true
	odd.Forms = map[model.Form]model.Weights{model.FormGGUF: {Size: 7, File: "- odd: [name].gguf"}}
	odd.Parameters = 0
	for _, m := range append(models, odd) {
		raw, err := catalog.Write(catalog.Page{Model: m, Source: "a test,\nmade # by hand: " + strings.Repeat("word ", 60), Comments: []string{"not: known\nid: other"}})
		if err != nil {
			t.Errorf("%s: %v", m.ID, err)
			continue
		}
		got, err := catalog.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-written +read):\n%s", m.ID, diff)
		}
	}
}

func TestWhatACatalogRefusesIsNotWritten(t *testing.T) {
	t.Parallel()
	_, err := catalog.Write(catalog.Page{Model: model.Model{ID: "No Id", Licence: "MIT", Context: 1}})
	if err == nil || !strings.Contains(err.Error(), `id "No Id" is not`) {
		t.Errorf("got %v", err)
	}
}
