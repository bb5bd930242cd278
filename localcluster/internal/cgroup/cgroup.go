// Package cgroup makes, limits, fills and removes control groups, on machines
// with cgroup v1 (a folder for each hierarchy) and with cgroup v2 (one tree).
// Paths are relative to the root of the hierarchies, such as kaito-local/kl0.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Root is where Linux mounts the hierarchies.
const Root = "/sys/fs/cgroup"

// cpuPeriod is the kernel's usual period of CPU quotas, in microseconds.
const cpuPeriod = 100000

// Limits bound everything below a group; zero is no limit.
type Limits struct {
	// MilliCPU is the CPU in thousandths.
	MilliCPU int64
	// Memory in bytes.
	Memory int64
}

// Tree is the machine's control groups.
type Tree struct {
	unified     bool
	hierarchies []string // absolute; one of them on v2
}

// Detect looks at root and says which version the machine has.
func Detect(root string) (*Tree, error) {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return &Tree{unified: true, hierarchies: []string{root}}, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("look for control groups: %w", err)
	}
	t := &Tree{}
	for _, e := range entries {
		h := filepath.Join(root, e.Name())
		if _, err := os.Stat(filepath.Join(h, "cgroup.procs")); err == nil && e.IsDir() {
			t.hierarchies = append(t.hierarchies, h)
		}
	}
	if len(t.hierarchies) == 0 {
		return nil, fmt.Errorf("look for control groups: none are mounted under %q; mount cgroup2 there", root)
	}
	return t, nil
}

// Version is 1 or 2.
func (t *Tree) Version() int {
	if t.unified {
		return 2
	}
	return 1
}

// Make creates the group in every hierarchy, usable at once.
func (t *Tree) Make(path string) error {
	for _, h := range t.hierarchies {
		dir := h
		for _, part := range strings.Split(path, "/") {
			if err := t.openUp(dir); err != nil {
				return fmt.Errorf("make cgroup %q: %w", path, err)
			}
			dir = filepath.Join(dir, part)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("make cgroup %q: %w", path, err)
			}
			if err := t.inheritCPUSet(dir); err != nil {
				return fmt.Errorf("make cgroup %q: %w", path, err)
			}
		}
	}
	return nil
}

// openUp lets the children of a v2 group use every controller that it has itself.
func (t *Tree) openUp(dir string) error {
	if !t.unified {
		return nil
	}
	have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	given, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	on := " " + strings.Join(strings.Fields(string(given)), " ") + " "
	for _, c := range strings.Fields(string(have)) {
		if strings.Contains(on, " "+c+" ") {
			continue
		}
		if err := write(filepath.Join(dir, "cgroup.subtree_control"), "+"+c); err != nil {
			return err
		}
	}
	return nil
}

// inheritCPUSet fills a new v1 cpuset, which is born empty and would refuse processes.
func (t *Tree) inheritCPUSet(dir string) error {
	if t.unified { // an empty set means all there
		return nil
	}
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, f))
		if errors.Is(err, fs.ErrNotExist) || len(strings.TrimSpace(string(own))) > 0 {
			continue
		}
		if err != nil {
			return err
		}
		above, err := os.ReadFile(filepath.Join(filepath.Dir(dir), f))
		if err != nil {
			return err
		}
		if err := write(filepath.Join(dir, f), strings.TrimSpace(string(above))); err != nil {
			return err
		}
	}
	return nil
}

// Limit bounds the group; on v1 each limit stands in its own hierarchy.
func (t *Tree) Limit(path string, l Limits) error {
	type setting struct{ file, value string }
	var want []setting
	switch {
	case t.unified:
		if l.MilliCPU > 0 {
			want = append(want, setting{"cpu.max", fmt.Sprintf("%d %d", l.MilliCPU*cpuPeriod/1000, cpuPeriod)})
		}
		if l.Memory > 0 {
			want = append(want, setting{"memory.max", strconv.FormatInt(l.Memory, 10)})
		}
	default:
		if l.MilliCPU > 0 {
			want = append(want, setting{"cpu.cfs_period_us", strconv.Itoa(cpuPeriod)}, setting{"cpu.cfs_quota_us", strconv.FormatInt(l.MilliCPU*cpuPeriod/1000, 10)})
		}
		if l.Memory > 0 {
			want = append(want, setting{"memory.limit_in_bytes", strconv.FormatInt(l.Memory, 10)})
		}
	}
	for _, s := range want {
		if err := t.set(path, s.file, s.value); err != nil {
			return fmt.Errorf("limit cgroup %q: %w", path, err)
		}
	}
	return nil
}

// set writes the file in the hierarchy that has it.
func (t *Tree) set(path, file, value string) error {
	for _, h := range t.hierarchies {
		p := filepath.Join(h, path, file)
		if _, err := os.Stat(p); err == nil {
			return write(p, value)
		}
	}
	return fmt.Errorf("no mounted hierarchy has %s", file)
}

// Join moves the calling process into the group. It writes 0, which means "me" in
// every PID namespace.
func (t *Tree) Join(path string) error {
	for _, h := range t.hierarchies {
		if err := write(filepath.Join(h, path, "cgroup.procs"), "0"); err != nil {
			return fmt.Errorf("join cgroup %q: %w", path, err)
		}
	}
	return nil
}

// Processes are the process ids in the group and below, each once. A group that
// is not there has none.
func (t *Tree) Processes(path string) ([]int, error) {
	seen := map[int]bool{}
	var pids []int
	for _, h := range t.hierarchies {
		err := filepath.WalkDir(filepath.Join(h, path), func(p string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone while we looked
			}
			if err != nil || !d.IsDir() {
				return err
			}
			b, err := os.ReadFile(filepath.Join(p, "cgroup.procs"))
			if err != nil {
				return ignoreGone(err)
			}
			for _, f := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(f); err == nil && pid > 0 && !seen[pid] {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list processes of cgroup %q: %w", path, err)
		}
	}
	return pids, nil
}

// Remove takes the group and all below away. It fails while processes are in it.
func (t *Tree) Remove(path string) error {
	for _, h := range t.hierarchies {
		if err := remove(filepath.Join(h, path)); err != nil {
			return fmt.Errorf("remove cgroup %q: %w", path, err)
		}
	}
	return nil
}

// RemoveEmpty takes the group away unless there are groups below it.
func (t *Tree) RemoveEmpty(path string) error {
	for _, h := range t.hierarchies {
		dir := filepath.Join(h, path)
		entries, err := os.ReadDir(dir)
		if err != nil {
			if ignoreGone(err) == nil {
				continue
			}
			return fmt.Errorf("remove cgroup %q: %w", path, err)
		}
		below := false
		for _, e := range entries {
			below = below || e.IsDir()
		}
		if below {
			continue
		}
		if err := remove(dir); err != nil {
			return fmt.Errorf("remove cgroup %q: %w", path, err)
		}
	}
	return nil
}

// remove removes the groups below first. Only rmdir: the files of a group go with it.
func remove(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ignoreGone(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return ignoreGone(rmdir(dir))
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func write(path, value string) error { return os.WriteFile(path, []byte(value), 0o644) }
