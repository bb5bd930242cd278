package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
)

// ownFiles are catalog files: their texts and where they are, by the name that each would
// have in a folder.
type ownFiles struct{ texts, where map[string]string }

// withOwn puts the models of a catalog file, or of a folder of such files, before those that
// are shipped, as a ConfigMap does for the operator.
func withOwn(models *catalog.Catalog, name string) (*catalog.Catalog, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no catalog %q: name a file that `kaito model import` has written, or a folder of such files", name)
	case err != nil:
		return nil, fmt.Errorf("look at the catalog: %w", err)
	}
	own := ownFiles{map[string]string{}, map[string]string{}}
	if info.IsDir() {
		err = own.readFolder(name)
	} else {
		err = own.readFile(name)
	}
	if err != nil {
		return nil, err
	}
	all := models.With([]catalog.Source{{Place: fmt.Sprintf("catalog %q", name), Files: own.texts}}, engine.CheckFacts)
	var texts []string
	for _, b := range all.Broken() {
		texts = append(texts, fmt.Sprintf("catalog file %q: %s", own.where[b.Key], oneLine(b.Err)))
	}
	if len(texts) > 0 {
		return nil, errors.New(strings.Join(texts, "; "))
	}
	return all, nil
}

// oneLine is an error that may have several.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// readFolder reads all files of a folder, each of which is called after its model.
func (o ownFiles) readFolder(dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return fmt.Errorf("list the catalog %q: %w", dir, err)
	}
	if len(found) == 0 {
		return fmt.Errorf("the catalog %q has no file *.yaml", dir)
	}
	for _, name := range found {
		data, err := readFile("catalog file", name)
		if err != nil {
			return err
		}
		o.texts[filepath.Base(name)], o.where[filepath.Base(name)] = string(data), name
	}
	return nil
}

// readFile reads one file, which may be called anything.
func (o ownFiles) readFile(name string) error {
	data, err := readFile("catalog file", name)
	if err != nil {
		return err
	}
	m, err := catalog.Parse(data)
	if err != nil {
		return fmt.Errorf("catalog file %q: %s", name, oneLine(err))
	}
	o.texts[m.ID+".yaml"], o.where[m.ID+".yaml"] = string(data), name
	return nil
}
