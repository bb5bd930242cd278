package catalog_test

import (
	"testing"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

// all are the models that we ship.
func all(t *testing.T) []model.Model {
	t.Helper()
	c, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	var models []model.Model
	for _, id := range c.IDs() {
		m, _ := c.Lookup(id)
		models = append(models, m)
	}
	return models
}

// The reference system knows sixty models by their hub ids and 25 of them by a short name
// besides; ours are these, and the model for development.
func TestTheCatalogHasEveryModelOfTheReference(t *testing.T) {
	t.Parallel()
	models := all(t)
	if len(models) != 61 {
		t.Errorf("%d models, want 61", len(models))
	}
}

// A fact that no source gives is left out, and what it could be is bounded from above: what
// the bounds say of themselves must be true of every model whose facts are known.
func TestBoundsAreAboveEveryFactOfTheCatalog(t *testing.T) {
	t.Parallel()
	known := 0
	for _, m := range all(t) {
		if m.Attention.Kind == model.AttentionLatent {
			continue
		}
		for name, without := range map[string]func(*model.Model){
			"heads of keys":  func(m *model.Model) { m.KVHeads = 0 },
			"width of heads": func(m *model.Model) { m.HeadDim = 0 },
			"both":           func(m *model.Model) { m.KVHeads, m.HeadDim = 0, 0 },
			"heads":          func(m *model.Model) { m.Heads, m.KVHeads, m.HeadDim = 0, 0, 0 },
			"layers":         func(m *model.Model) { m.Layers = 0 },
			"everything":     func(m *model.Model) { m.Heads, m.KVHeads, m.HeadDim, m.Layers, m.Hidden = 0, 0, 0, 0, 0 },
		} {
			hidden := m
			without(&hidden)
			bounded, assumed := estimate.Bounded(hidden)
			exact, _ := estimate.Bounded(m)
			if bounded.KVBytesPerToken() < exact.KVBytesPerToken() || len(assumed) == 0 {
				t.Errorf("%s without its %s: %d bytes a token of a known %d; assumed %q", m.ID, name, bounded.KVBytesPerToken(), exact.KVBytesPerToken(), assumed)
			}
			known++
		}
	}
	if known < 200 {
		t.Errorf("only %d bounds were looked at", known)
	}
}
