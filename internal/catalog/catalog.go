// Package catalog reads the models that Kaito ships and finds one by the name
// that a user writes: catalog id, alias or hub id, in any case.
package catalog

//go:generate go run ./gen

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

	// Of a layer over another catalog: what lies below it, where each of its models comes
	// from, and the files of it that cannot be used.
	below  *Catalog
	places map[string]string
	broken []Broken
}

// suffix is that of a catalog file.
const suffix = ".yaml"

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
		m, err := parseFile(name, data)
		if err == nil {
			err = c.add(m)
		}
		if err != nil {
			return nil, fmt.Errorf("catalog file %q: %w", name, err)
		}
	}
	return c, nil
}

// parseFile reads a file that is called after its model.
func parseFile(name string, data []byte) (model.Model, error) {
	m, err := Parse(data)
	if err != nil {
		return m, err
	}
	if want := m.ID + suffix; name != want {
		return m, fmt.Errorf("it holds model %q: call it %q", m.ID, want)
	}
	return m, nil
}

// add takes a model in whole, or not at all.
func (c *Catalog) add(m model.Model) error {
	for _, name := range m.Names() {
		other, taken := c.byName[strings.ToLower(name)]
		switch {
		case !taken:
			continue
		case c.places[other.ID] != "":
			return fmt.Errorf("the name %q belongs to model %q of %s already", name, other.ID, c.places[other.ID])
		}
		return fmt.Errorf("the name %q belongs to model %q already", name, other.ID)
	}
	for _, name := range m.Names() {
		c.byName[strings.ToLower(name)] = m
	}
	at, _ := slices.BinarySearch(c.ids, m.ID)
	c.ids = slices.Insert(c.ids, at, m.ID)
	return nil
}

// IDs are the ids of all models, sorted.
func (c *Catalog) IDs() []string {
	if c.below == nil {
		return slices.Clone(c.ids)
	}
	all := append(c.below.IDs(), c.ids...)
	slices.Sort(all)
	return slices.Compact(all)
}

// Lookup finds a model by id, alias or hub id, in any case.
func (c *Catalog) Lookup(name string) (model.Model, bool) {
	key := strings.ToLower(name)
	for l := c; l != nil; l = l.below {
		if m, ok := l.byName[key]; ok {
			return m, true
		}
	}
	return model.Model{}, false
}
