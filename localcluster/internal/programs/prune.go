package programs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Pruned is what Prune removed and what it had to leave.
type Pruned struct {
	Removed int
	Freed   int64
	// InUse counts folders of other sources that running processes need.
	InUse int
}

// String is the sentence for a person.
func (p Pruned) String() string {
	s := fmt.Sprintf("removed %d folders (%s)", p.Removed, size(p.Freed))
	if p.InUse > 0 {
		s += fmt.Sprintf("; left %d that running processes use", p.InUse)
	}
	return s
}

// Prune removes programs that were built from other sources than the present ones,
// but for those of clusters that run: their nodes start further programs from the
// same folder.
func Prune(ctx context.Context, o Options) (Pruned, error) {
	var p Pruned
	o, err := o.withDefaults()
	if err != nil {
		return p, err
	}
	_, entries, err := plan(ctx, o)
	if err != nil {
		return p, err
	}
	unlock, err := lock(ctx, o)
	if err != nil {
		return p, err
	}
	defer unlock()
	root := o.root()
	if err := prepare(root); err != nil {
		return p, err
	}
	keep := map[string]bool{binKey(entries): true}
	for _, e := range entries {
		keep[filepath.Join(storeDir, e.folder())] = true
		keep[filepath.Join(logsDir, e.folder()+".log")] = true
	}
	running, err := executables(root)
	if err != nil {
		return p, err
	}
	if p.InUse, err = keepRunning(root, running, keep); err != nil {
		return p, err
	}
	return p, p.sweep(root, keep)
}

// executables returns the folders below store whose programs run now.
func executables(root string) (map[string]bool, error) {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, fmt.Errorf("find the cache of programs: %w", err)
	}
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	running := map[string]bool{}
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil {
			continue // the process has ended, or is a kernel thread
		}
		if rel, err := filepath.Rel(filepath.Join(real, storeDir), exe); err == nil && filepath.IsLocal(rel) {
			running[filepath.Join(storeDir, filepath.Dir(rel))] = true
		}
	}
	return running, nil
}

// keepRunning marks all that belongs to a folder of links of which something runs,
// and counts what would otherwise have gone.
func keepRunning(root string, running, keep map[string]bool) (int, error) {
	bins, err := filepath.Glob(filepath.Join(root, "*", binDir))
	if err != nil {
		return 0, fmt.Errorf("list folders of links: %w", err)
	}
	kept := 0
	mark := func(name string) {
		if !keep[name] {
			keep[name] = true
			kept++
		}
	}
	for name := range running {
		mark(name)
	}
	for _, bin := range bins {
		targets, err := storeTargets(bin)
		if err != nil {
			return 0, err
		}
		used := false
		for name := range targets {
			used = used || running[name]
		}
		if !used {
			continue
		}
		mark(filepath.Base(filepath.Dir(bin)))
		for name := range targets {
			mark(name)
		}
	}
	return kept, nil
}

// storeTargets are the folders of the store that a folder of links leads to.
func storeTargets(bin string) (map[string]bool, error) {
	children, err := os.ReadDir(bin)
	if err != nil {
		return nil, fmt.Errorf("read a folder of links: %w", err)
	}
	targets := map[string]bool{}
	for _, c := range children {
		target, err := os.Readlink(filepath.Join(bin, c.Name()))
		if err != nil {
			continue // not one of ours
		}
		if folder, ok := strings.CutPrefix(filepath.Dir(target), filepath.Join("..", "..")+"/"); ok {
			targets[folder] = true
		}
	}
	return targets, nil
}

// sweep removes all folders and logs that are not kept.
func (p *Pruned) sweep(root string, keep map[string]bool) error {
	var errs []error
	for _, pattern := range []string{"*", storeDir + "/*", logsDir + "/*"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return fmt.Errorf("list the cache of programs: %w", err)
		}
		for _, path := range paths {
			name, err := filepath.Rel(root, path)
			if err != nil || keep[name] || name == storeDir || name == logsDir || name == "lock" {
				continue
			}
			bytes := treeSize(path)
			if err := os.RemoveAll(path); err != nil {
				errs = append(errs, err)
				continue
			}
			p.Removed++
			p.Freed += bytes
		}
	}
	return errors.Join(errs...)
}

// treeSize adds the bytes of all files below a path; what cannot be read counts
// nothing, since the number is only told.
func treeSize(path string) int64 {
	var n int64
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
