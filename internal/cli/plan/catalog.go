package plan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
)

// withOwn puts the models of a catalog file, or of a folder of such files, before those that
// are shipped, as a ConfigMap does for the operator. A file that is given by its name may have
// any; in a folder it is called after its model, or it is an error.
func withOwn(models *catalog.Catalog, name string) (*catalog.Catalog, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("look at the catalog: %w", err)
	}
	files := map[string]string{}
	if info.IsDir() {
		found, err := filepath.Glob(filepath.Join(name, "*.yaml"))
		if err != nil {
			return nil, fmt.Errorf("list the catalog %q: %w", name, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("the catalog %q has no file *.yaml", name)
		}
		for _, file := range found {
			data, err := readFile("catalog file", file)
			if err != nil {
				return nil, err
			}
			files[filepath.Base(file)] = string(data)
		}
	} else {
		data, err := readFile("catalog file", name)
		if err != nil {
			return nil, err
		}
		m, err := catalog.Parse(data)
		if err != nil {
			return nil, fmt.Errorf("catalog file %q: %w", name, err)
		}
		files[m.ID+".yaml"] = string(data)
	}
	all := models.With([]catalog.Source{{Place: fmt.Sprintf("catalog %q", name), Files: files}}, engine.CheckFacts)
	var errs []error
	for _, b := range all.Broken() {
		errs = append(errs, b)
	}
	return all, errors.Join(errs...)
}
