package programs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// layout is raised when the folders in the cache change their meaning.
const layout = "kaito programs 1"

// keyLength is the number of hex digits in a key: enough that two contents never
// meet, short enough to read.
const keyLength = 16

// recipeKey is the hash of all that goes into a recipe's executables.
func recipeKey(r recipe, m module, tc toolchain) (string, error) {
	h := sha256.New()
	add(h, layout, r.name, tc.Version, tc.OS, tc.Arch, string(m.mod), string(m.sum))
	add(h, r.packages...)
	add(h, r.flags(m.versions)...)
	add(h, r.settings()...)
	for _, dir := range r.sources {
		if err := addSources(h, m.dir, dir); err != nil {
			return "", fmt.Errorf("hash the sources of %s: %w", r.name, err)
		}
	}
	return sum(h), nil
}

// binKey names a folder of links by what they point to.
func binKey(entries []entry) string {
	h := sha256.New()
	add(h, layout)
	for _, e := range entries {
		add(h, e.folder())
		add(h, e.recipe.programs()...)
		add(h, e.recipe.links...)
	}
	return sum(h)
}

// addSources hashes the files of a folder, by name and content. Tests stay out:
// they are not part of a program.
func addSources(h hash.Hash, root, dir string) error {
	return filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case !d.Type().IsRegular() || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		add(h, name, string(content))
		return nil
	})
}

// add writes parts with their lengths, so that no two lists hash alike.
func add(h hash.Hash, parts ...string) {
	fmt.Fprintf(h, "%d:", len(parts))
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil))[:keyLength] }
