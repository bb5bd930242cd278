// Package host is the machine's record of its clusters: which index belongs to
// whom, which clusters may be running, the kernel settings from before the first
// of them, and the folders that were made for them. It is on disk, so that a
// killed cluster is cleaned up by a later command as well as by an orderly one.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/record"
	"kaito.sh/kaito/localcluster/internal/sysctl"
)

// Record is the content of host.json.
type Record struct {
	// Claims are indexes in use, also by clusters that are down.
	Claims []Claim `json:"claims,omitempty"`
	// Settings are the kernel's from before the first running cluster.
	Settings sysctl.Values `json:"settings,omitempty"`
	// Folders were made for the clusters, outermost first.
	Folders []string `json:"folders,omitempty"`
}

// Claim ties an index to a cluster's folder.
type Claim struct {
	// Index on this machine.
	Index int `json:"index"`
	// Dir is the cluster's folder.
	Dir string `json:"dir"`
	// Active is true from up until down, also if all was killed in between.
	Active bool `json:"active,omitempty"`
}

// Load reads the record; an empty one when there is none.
func Load(path string) (Record, error) {
	var r Record
	if err := record.Read(path, &r); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Record{}, err
	}
	return r, nil
}

// Save writes the record, or removes the file when nothing is left to remember.
func (r Record) Save(path string) error {
	if len(r.Claims) == 0 && len(r.Settings) == 0 && len(r.Folders) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %q: %w", path, err)
		}
		return nil
	}
	return record.Write(path, r)
}

// Claim gives the cluster in dir its index: the one it has, or the first for
// which free answers nil. What free answers for the others is in the error.
func (r *Record) Claim(dir string, free func(index int) error) (int, error) {
	r.forgetLost()
	if i := r.find(dir); i >= 0 {
		return r.Claims[i].Index, nil
	}
	var reasons []error
	for k := range layout.MaxClusters {
		if slices.ContainsFunc(r.Claims, func(c Claim) bool { return c.Index == k }) {
			continue
		}
		if err := free(k); err != nil {
			reasons = append(reasons, err)
			continue
		}
		r.Claims = append(r.Claims, Claim{Index: k, Dir: dir})
		return k, nil
	}
	return 0, fmt.Errorf("find free addresses for a cluster in %q: all %d ranges are taken: %w", dir, layout.MaxClusters, errors.Join(reasons...))
}

// Adopt claims an index that the cluster in dir already lives with.
func (r *Record) Adopt(dir string, index int) error {
	for _, c := range r.Claims {
		if c.Index == index && c.Dir != dir {
			return fmt.Errorf("cluster in %q has index %d, which now belongs to the one in %q: run `down --purge` on one of them", dir, index, c.Dir)
		}
	}
	if r.find(dir) < 0 {
		r.Claims = append(r.Claims, Claim{Index: index, Dir: dir})
	}
	return nil
}

// Activate marks the cluster as possibly running; the first one brings the
// kernel settings to remember.
func (r *Record) Activate(dir string, settings sysctl.Values) {
	if !r.anyActive() {
		r.Settings = settings
	}
	if i := r.find(dir); i >= 0 {
		r.Claims[i].Active = true
	}
}

// Deactivate marks the cluster as down. last is true when none is left.
func (r *Record) Deactivate(dir string) (last bool) {
	was := r.anyActive()
	if i := r.find(dir); i >= 0 {
		r.Claims[i].Active = false
	}
	return was && !r.anyActive()
}

// Release gives the index back.
func (r *Record) Release(dir string) {
	r.Claims = slices.DeleteFunc(r.Claims, func(c Claim) bool { return c.Dir == dir })
}

func (r *Record) find(dir string) int {
	return slices.IndexFunc(r.Claims, func(c Claim) bool { return c.Dir == dir })
}

func (r *Record) anyActive() bool {
	return slices.ContainsFunc(r.Claims, func(c Claim) bool { return c.Active })
}

// forgetLost drops claims of clusters that are down and whose folder somebody removed by hand.
func (r *Record) forgetLost() {
	r.Claims = slices.DeleteFunc(r.Claims, func(c Claim) bool {
		_, err := os.Stat(c.Dir)
		return !c.Active && errors.Is(err, fs.ErrNotExist)
	})
}

// MakeFolder makes a folder of the machine and remembers each part that was not there.
func (r *Record) MakeFolder(path string) error {
	var missing []string
	for p := path; ; p = filepath.Dir(p) {
		_, err := os.Lstat(p)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make folder %q: %w", path, err)
		}
		missing = append(missing, p)
	}
	slices.Reverse(missing)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("make folder %q: %w", path, err)
	}
	r.Folders = append(r.Folders, missing...)
	return nil
}

// RemoveFolders removes those that were made here and are still empty.
func (r *Record) RemoveFolders() {
	for _, p := range slices.Backward(r.Folders) {
		// Somebody else may have put something in by now: then it is theirs.
		_ = os.Remove(p)
	}
	r.Folders = nil
}
