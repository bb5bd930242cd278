package programs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	storeDir  = "store"
	logsDir   = "logs"
	binDir    = "bin"
	buildFile = "build.json"
	// temporary begins the names of folders that are not whole yet.
	temporary = "tmp-"
)

// An entry is one recipe under one key: what it is, and where it is kept.
type entry struct {
	recipe recipe
	key    string
	module module
}

func (e entry) folder() string         { return e.recipe.name + "-" + e.key }
func (e entry) dir(root string) string { return filepath.Join(root, storeDir, e.folder()) }
func (e entry) log(root string) string { return filepath.Join(root, logsDir, e.folder()+".log") }

// temp bears our process id: the compiler of a builder that was killed may live on
// for a moment, and must not write into ours.
func (e entry) temp(root string) string {
	return filepath.Join(root, fmt.Sprintf("%s%s-%d", temporary, e.folder(), os.Getpid()))
}

// A Build says how an entry came to be. It is written last into the entry's
// folder, and tells a whole entry from a damaged one.
type Build struct {
	Recipe string `json:"recipe"`
	Key    string `json:"key"`
	Go     string `json:"go"`
	// Wall and CPU (user and system, of all compilers) are what the build took.
	Wall time.Duration `json:"wallNanoseconds"`
	CPU  time.Duration `json:"cpuNanoseconds"`
	// Packages counts what the compiler had to compile; the rest was in its cache.
	Packages int `json:"packages"`
	// Sizes are the bytes of each executable.
	Sizes map[string]int64 `json:"sizes"`
	// Fresh says that the build ran in this call.
	Fresh bool `json:"-"`
}

// errNotStored says that an entry has never been built.
var errNotStored = errors.New("not in the cache")

// stored reads an entry's record and checks its executables against it.
func (e entry) stored(root string) (Build, error) {
	var b Build
	content, err := os.ReadFile(filepath.Join(e.dir(root), buildFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(e.dir(root)); err == nil {
			return b, fmt.Errorf("%s is missing", buildFile)
		}
		return b, errNotStored
	}
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(content, &b); err != nil {
		return b, fmt.Errorf("%s is damaged: %w", buildFile, err)
	}
	for _, name := range e.recipe.programs() {
		info, err := os.Stat(filepath.Join(e.dir(root), name))
		switch {
		case err != nil:
			return b, fmt.Errorf("%s is missing", name)
		case info.Size() != b.Sizes[name] || info.Mode()&0o111 == 0:
			return b, fmt.Errorf("%s has %d bytes and mode %v, not %d bytes and executable", name, info.Size(), info.Mode(), b.Sizes[name])
		}
	}
	return b, nil
}

// publish moves a finished build to its final name.
func (e entry) publish(root string, b Build) error {
	temp := e.temp(root)
	b.Sizes = map[string]int64{}
	for _, name := range e.recipe.programs() {
		info, err := os.Stat(filepath.Join(temp, name))
		if err != nil {
			return fmt.Errorf("find what the compiler made of %s: %w", e.recipe.name, err)
		}
		b.Sizes[name] = info.Size()
	}
	if err := writeJSON(filepath.Join(temp, buildFile), b); err != nil {
		return err
	}
	if err := os.RemoveAll(e.dir(root)); err != nil {
		return fmt.Errorf("remove the damaged %s: %w", e.dir(root), err)
	}
	if err := os.Rename(temp, e.dir(root)); err != nil {
		return fmt.Errorf("store %s: %w", e.recipe.name, err)
	}
	return nil
}

// linked tells whether the folder of links is whole: every name leads to a file.
func linked(root, key string, entries []entry) bool {
	bin := filepath.Join(root, key, binDir)
	for _, e := range entries {
		for _, name := range append(e.recipe.programs(), e.recipe.links...) {
			if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
				return false
			}
		}
	}
	return true
}

// link makes the folder of links, with the timings beside it. Links are relative,
// so the whole cache can be moved.
func link(root, key string, entries []entry, builds []Build) error {
	temp := filepath.Join(root, temporary+key)
	bin := filepath.Join(temp, binDir)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("make the folder of links: %w", err)
	}
	for _, e := range entries {
		for _, name := range e.recipe.programs() {
			target := filepath.Join("..", "..", storeDir, e.folder(), name)
			if err := os.Symlink(target, filepath.Join(bin, name)); err != nil {
				return fmt.Errorf("link %s: %w", name, err)
			}
		}
		for _, name := range e.recipe.links {
			if err := os.Symlink(e.recipe.programs()[0], filepath.Join(bin, name)); err != nil {
				return fmt.Errorf("link %s: %w", name, err)
			}
		}
	}
	if err := writeJSON(filepath.Join(temp, "timings.json"), builds); err != nil {
		return err
	}
	final := filepath.Join(root, key)
	if err := os.RemoveAll(final); err != nil {
		return fmt.Errorf("remove the damaged %s: %w", final, err)
	}
	if err := os.Rename(temp, final); err != nil {
		return fmt.Errorf("publish the folder of links: %w", err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	if err := os.WriteFile(path, append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}
