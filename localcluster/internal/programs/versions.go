package programs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// versions maps a module's path to the version that go.mod asks for.
type versions map[string]string

// A module is what this package needs to know of a Go module.
type module struct {
	dir      string
	sum, mod []byte
	// goLine is the oldest Go that the module accepts, as "1.26.6".
	goLine   string
	versions versions
}

// readModule reads go.mod and go.sum of the module in a folder.
func readModule(dir string) (module, error) {
	m := module{dir: dir, versions: versions{}}
	path := filepath.Join(dir, "go.mod")
	var err error
	if m.mod, err = os.ReadFile(path); err != nil {
		return m, fmt.Errorf("read the module of the programs (is %s the localcluster folder of a checkout?): %w", dir, err)
	}
	if m.sum, err = os.ReadFile(filepath.Join(dir, "go.sum")); err != nil {
		return m, fmt.Errorf("read the module's checksums: %w", err)
	}
	f, err := modfile.Parse(path, m.mod, nil)
	if err != nil {
		return m, fmt.Errorf("parse the module of the programs: %w", err)
	}
	if f.Go != nil {
		m.goLine = f.Go.Version
	}
	for _, r := range f.Require {
		m.versions[r.Mod.Path] = r.Mod.Version
	}
	for _, r := range f.Replace {
		m.versions[r.Old.Path] = r.New.Version
	}
	return m, nil
}

// of cuts the part out of a version such as "v1.37.2".
func (p versionPart) of(version string) string {
	number := strings.TrimPrefix(version, "v")
	fields := strings.SplitN(number, ".", 3)
	switch {
	case p == plain:
		return number
	case p == major:
		return fields[0]
	case p == minor && len(fields) > 1:
		return fields[1]
	default:
		return version
	}
}
