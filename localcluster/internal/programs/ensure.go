package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Ensure makes sure that the programs are in the cache, building what is missing,
// and returns the folder that holds them under their own names. With everything
// there it takes milliseconds and prints nothing.
func Ensure(ctx context.Context, o Options) (string, error) {
	o, err := o.withDefaults()
	if err != nil {
		return "", err
	}
	tc, entries, err := plan(ctx, o)
	if err != nil {
		return "", err
	}
	root, key := o.root(), binKey(entries)
	bin := filepath.Join(root, key, binDir)
	if complete(root, key, entries) {
		return bin, nil
	}
	unlock, err := lock(ctx, o)
	if err != nil {
		return "", err
	}
	defer unlock()
	// Another builder may have finished while we waited.
	if complete(root, key, entries) {
		return bin, nil
	}
	if err := prepare(root); err != nil {
		return "", err
	}
	builds, err := buildMissing(ctx, o, tc, entries)
	if err != nil {
		return "", err
	}
	if err := link(root, key, entries, builds); err != nil {
		return "", err
	}
	report(o.Out, builds)
	return bin, nil
}

// plan finds the compiler, the wanted recipes and their keys.
func plan(ctx context.Context, o Options) (toolchain, []entry, error) {
	wanted, err := o.recipes()
	if err != nil {
		return toolchain{}, nil, err
	}
	main, err := readModule(o.SourceDir)
	if err != nil {
		return toolchain{}, nil, err
	}
	tc, err := findToolchain(ctx, o, main)
	if err != nil {
		return tc, nil, err
	}
	modules := map[string]module{"": main}
	entries := make([]entry, 0, len(wanted))
	for _, r := range wanted {
		m, ok := modules[r.module]
		if !ok {
			if m, err = readModule(filepath.Join(o.SourceDir, r.module)); err != nil {
				return tc, nil, err
			}
			modules[r.module] = m
		}
		key, err := recipeKey(r, m, tc)
		if err != nil {
			return tc, nil, err
		}
		entries = append(entries, entry{recipe: r, key: key, module: m})
	}
	return tc, entries, nil
}

// complete tells whether all entries and the links to them are there.
func complete(root, key string, entries []entry) bool {
	for _, e := range entries {
		if _, err := e.stored(root); err != nil {
			return false
		}
	}
	return linked(root, key, entries)
}

// prepare makes the folders of the cache and clears what killed builders left.
// The caller holds the lock, so nothing temporary belongs to anybody.
func prepare(root string) error {
	for _, dir := range []string{storeDir, logsDir} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return fmt.Errorf("make the cache of programs: %w", err)
		}
	}
	children, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("read the cache of programs: %w", err)
	}
	for _, c := range children {
		if !strings.HasPrefix(c.Name(), temporary) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(root, c.Name())); err != nil {
			return fmt.Errorf("clear a build that was cut off: %w", err)
		}
	}
	return nil
}

// buildMissing builds the entries that are not stored or damaged.
func buildMissing(ctx context.Context, o Options, tc toolchain, entries []entry) ([]Build, error) {
	root := o.root()
	builds := make([]Build, len(entries))
	var missing []entry
	var places []int
	for i, e := range entries {
		b, err := e.stored(root)
		if err == nil {
			builds[i] = b
			continue
		}
		if !errors.Is(err, errNotStored) {
			fmt.Fprintf(o.Out, "the %s in the cache is damaged (%v) and is built again\n", e.recipe.name, err)
		}
		missing, places = append(missing, e), append(places, i)
	}
	if len(missing) == 0 {
		return builds, nil
	}
	if err := preflight(ctx, o, tc, missing); err != nil {
		return nil, err
	}
	fmt.Fprintf(o.Out, "building the programs of the local cluster into %s (once; about 20 CPU minutes from nothing)\n", root)
	for n, e := range missing {
		fmt.Fprintf(o.Out, "building %s (%d of %d): %s\n", e.recipe.name, n+1, len(missing), strings.Join(e.recipe.programs(), ", "))
		b, err := build(ctx, o, tc, e)
		if err != nil {
			return nil, err
		}
		if builds[places[n]], err = e.stored(root); err != nil {
			return nil, fmt.Errorf("check what was built of %s: %w", e.recipe.name, err)
		}
		builds[places[n]].Fresh = true
		fmt.Fprintf(o.Out, "built %s in %s (%s of CPU)\n", e.recipe.name, round(b.Wall), round(b.CPU))
	}
	return builds, nil
}
