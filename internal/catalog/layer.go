package catalog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/model"
)

// Source is a place that holds catalog files beside those that are shipped.
type Source struct {
	// Place names it to a person, as in `ConfigMap "models"`.
	Place string
	// Files are catalog files by name; what is not called *.yaml is none.
	Files map[string]string
}

// Broken is a catalog file that cannot be used.
type Broken struct {
	// Place and Key say which file.
	Place, Key string
	// Err says why.
	Err error
}

// Error names the file and says what is wrong with it, in one line.
func (b Broken) Error() string {
	return fmt.Sprintf("%s, key %q: %s", b.Place, b.Key, strings.ReplaceAll(b.Err.Error(), "\n", "; "))
}

// Unwrap is the cause.
func (b Broken) Unwrap() error { return b.Err }

// With are the models of some sources before those of c: a name of theirs hides the same
// name of c. Files that are wrong, that check refuses, or that take a name which another
// file of these sources has, are left out and told by Broken. Sources are read in the order
// of their places, files in the order of their names.
func (c *Catalog) With(sources []Source, check func(model.Model) error) *Catalog {
	layer := &Catalog{byName: map[string]model.Model{}, places: map[string]string{}, below: c}
	sources = slices.Clone(sources)
	slices.SortFunc(sources, func(a, b Source) int { return cmp.Compare(a.Place, b.Place) })
	for _, s := range sources {
		for _, key := range slices.Sorted(maps.Keys(s.Files)) {
			if !strings.HasSuffix(key, suffix) {
				continue
			}
			m, err := parseFile(key, []byte(s.Files[key]))
			if err == nil {
				err = check(m)
			}
			if err == nil {
				err = layer.add(m)
			}
			if err != nil {
				layer.broken = append(layer.broken, Broken{Place: s.Place, Key: key, Err: err})
				continue
			}
			layer.places[m.ID] = s.Place
		}
	}
	return layer
}

// Broken are the files of this layer that cannot be used, in the order in which they were read.
func (c *Catalog) Broken() []Broken { return slices.Clone(c.broken) }

// Origin says where the model with an id comes from: the place of a source, or nothing for
// one that is shipped. Hides is true where models below have a name of it too.
func (c *Catalog) Origin(id string) (place string, hides bool) {
	for l := c; l != nil; l = l.below {
		m, ok := l.byName[strings.ToLower(id)]
		if !ok || l.below == nil {
			continue
		}
		for _, name := range m.Names() {
			if _, there := l.below.Lookup(name); there {
				hides = true
			}
		}
		return l.places[m.ID], hides
	}
	return "", false
}

// InTheWay are the broken files because of which a name may not mean what it should: the
// file that is called after it, where no model stands before that; where no model has the
// name at all, all of them.
func (c *Catalog) InTheWay(name string) []Broken {
	key := strings.ToLower(name)
	var all []Broken
	for l := c; l != nil; l = l.below {
		if _, ok := l.byName[key]; ok {
			return nil
		}
		if i := slices.IndexFunc(l.broken, func(b Broken) bool { return b.Key == key+suffix }); i >= 0 {
			return l.broken[i : i+1]
		}
		all = append(all, l.broken...)
	}
	return all
}
