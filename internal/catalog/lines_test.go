package catalog_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/model"
)

// Programs read the lines, people write the files.
func TestTheLinesSayWhatTheFilesSay(t *testing.T) {
	t.Parallel()
	want, err := catalog.Lines(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, shipped.Lines) {
		t.Error("catalog/models.jsonl is not what catalog/*.yaml say: run `make generate` and commit it")
	}
	fromLines, err := catalog.LoadLines(want)
	if err != nil {
		t.Fatal(err)
	}
	fromFiles, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(models(fromFiles), models(fromLines)); diff != "" {
		t.Errorf("models (-files +lines):\n%s", diff)
	}
}

func models(c *catalog.Catalog) map[string]model.Model {
	all := map[string]model.Model{}
	for _, id := range c.IDs() {
		all[id], _ = c.Lookup(id)
	}
	return all
}

func TestALineThatIsNoModelIsToldWithItsNumber(t *testing.T) {
	t.Parallel()
	first, _, _ := strings.Cut(string(shipped.Lines), "\n")
	for name, tc := range map[string]struct{ lines, want string }{
		"no JSON":                  {first + "\n\n{", "line 3 of the catalog"},
		"a field that is none":     {`{"ident":"a"}`, "line 1 of the catalog"},
		"facts that are not whole": {`{"id":"a"}`, "line 1 of the catalog"},
		"one name twice":           {first + "\n" + strings.Replace(first, `"id":"`, `"id":"x-`, 1), "line 2 of the catalog"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := catalog.LoadLines([]byte(tc.lines)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func BenchmarkStart(b *testing.B) {
	b.Run("files", func(b *testing.B) {
		for b.Loop() {
			if _, err := catalog.Load(shipped.Files); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("lines", func(b *testing.B) {
		for b.Loop() {
			if _, err := catalog.LoadLines(shipped.Lines); err != nil {
				b.Fatal(err)
			}
		}
	})
}
