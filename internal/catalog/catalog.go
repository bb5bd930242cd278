// Package catalog reads the models that Kaito ships and finds one by the name
// that a user writes: catalog id, alias or hub id, in any case.
package catalog

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// Catalog is a set of models without two that answer to the same name.
type Catalog struct {
	byName map[string]model.Model
	ids    []string
}

// Load reads every *.yaml file of a folder, one model a file.
func Load(files fs.FS) (*Catalog, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the catalog: %w", err)
	}
	c := &Catalog{byName: map[string]model.Model{}}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read catalog file %q: %w", name, err)
		}
		m, err := Parse(data)
		if err != nil {
			return nil, fmt.Errorf("catalog file %q: %w", name, err)
		}
		if want := m.ID + ".yaml"; name != want {
			return nil, fmt.Errorf("catalog file %q holds model %q: call it %q", name, m.ID, want)
		}
		if err := c.add(m); err != nil {
			return nil, fmt.Errorf("catalog file %q: %w", name, err)
		}
	}
	slices.Sort(c.ids)
	return c, nil
}

func (c *Catalog) add(m model.Model) error {
	for _, name := range slices.Concat([]string{m.ID, m.HubID}, m.Aliases) {
		if name == "" {
			continue // a model of one's own has no hub
		}
		key := strings.ToLower(name)
		if other, taken := c.byName[key]; taken && other.ID != m.ID {
			return fmt.Errorf("the name %q belongs to model %q already", name, other.ID)
		}
		c.byName[key] = m
	}
	c.ids = append(c.ids, m.ID)
	return nil
}

// IDs are the ids of all models, sorted.
func (c *Catalog) IDs() []string {
	return slices.Clone(c.ids)
}

// Lookup finds a model by id, alias or hub id, in any case.
func (c *Catalog) Lookup(name string) (model.Model, bool) {
	m, ok := c.byName[strings.ToLower(name)]
	return m, ok
}
