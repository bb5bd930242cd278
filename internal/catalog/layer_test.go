package catalog_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/model"
)

// named is the file of a good model under other names.
func named(id, hub, context string) string {
	return strings.NewReplacer("id: tiny", "id: "+id, "Owner/Tiny", hub, "tiny-alias", id+"-alias", "context: 512", "context: "+context).Replace(good)
}

func anything(model.Model) error { return nil }

func base(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load(fstest.MapFS{"tiny.yaml": {Data: []byte(good)}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsNearerComesFirst(t *testing.T) {
	t.Parallel()
	shipped := base(t)
	everywhere := shipped.With([]catalog.Source{{Place: "operator", Files: map[string]string{
		"tiny.yaml": named("tiny", "Owner/Tiny", "128"), "other.yaml": named("other", "Owner/Other", "128"),
	}}}, anything)
	here := everywhere.With([]catalog.Source{{Place: "namespace", Files: map[string]string{
		"tiny.yaml": named("tiny", "Owner/Tiny", "256"), "mine.yaml": named("mine", "Owner/Mine", "256"), "README": "no catalog file",
	}}}, anything)
	for name, want := range map[string]struct {
		from    *catalog.Catalog
		context int
		place   string
		hides   bool
	}{
		"tiny":       {here, 256, "namespace", true},
		"OWNER/tiny": {here, 256, "namespace", true},
		"mine":       {here, 256, "namespace", false},
		"other":      {here, 128, "operator", false},
	} {
		m, ok := want.from.Lookup(name)
		place, hides := want.from.Origin(m.ID)
		if !ok || m.Context != want.context || place != want.place || hides != want.hides {
			t.Errorf("%q is of %q with a context of %d and hides %v, want %+v", name, place, m.Context, hides, want)
		}
	}
	if m, _ := shipped.Lookup("tiny"); m.Context != 512 {
		t.Errorf("the catalog below has changed: its context is %d", m.Context)
	}
	if place, _ := shipped.Origin("tiny"); place != "" {
		t.Errorf("a model that is shipped comes from %q", place)
	}
	if diff := cmp.Diff([]string{"mine", "other", "tiny"}, here.IDs()); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"mine"}, here.Near("x/mine2")); diff != "" {
		t.Errorf("near names (-want +got):\n%s", diff)
	}
	if all := here.InTheWay("mine"); len(all) > 0 {
		t.Errorf("%v stands in the way of a model that is there", all)
	}
}

func TestABrokenFileIsToldWhereItMatters(t *testing.T) {
	t.Parallel()
	here := base(t).With([]catalog.Source{
		{Place: "b", Files: map[string]string{
			"fine.yaml": named("fine", "Owner/Fine", "64"), "bad.yaml": "id: [1]", "tiny.yaml": strings.Replace(good, "context: 512", "context: 0", 1),
			"twin.yaml": named("twin", "Owner/First", "64"), "misnamed.yaml": named("other", "Owner/Other", "64"),
		}},
		{Place: "a", Files: map[string]string{"first.yaml": named("first", "Owner/First", "64"), "refused.yaml": named("refused", "Owner/Refused", "64")}},
	}, func(m model.Model) error {
		if m.ID == "refused" {
			return errors.New("no engine knows it")
		}
		return nil
	})
	for name, want := range map[string][]string{
		"fine":        nil,
		"owner/first": nil,
		// Not the shipped one of that name, of which the file was to be another.
		"tiny": {`b, key "tiny.yaml": context 0 is not between`},
		"nobody": {
			`a, key "refused.yaml": no engine knows it`, `b, key "bad.yaml": line 1, id is a list, not text`, `b, key "misnamed.yaml": it holds model "other": call it "other.yaml"`,
			`b, key "tiny.yaml": context 0`, `b, key "twin.yaml": the name "Owner/First" belongs to model "first" of a already`,
		},
	} {
		all := here.InTheWay(name)
		if len(all) != len(want) {
			t.Errorf("%d files are in the way of %q, want %d: %v", len(all), name, len(want), all)
			continue
		}
		for i, b := range all {
			if !strings.HasPrefix(b.Error(), want[i]) || strings.Contains(b.Error(), "\n") {
				t.Errorf("%q: %q does not begin with %q", name, b.Error(), want[i])
			}
		}
	}
}
