package fetch

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// record says which files are here and were proved. A file that still has the size
// and the time that stand here was not touched since, and is not read again: reading
// a hundred gigabytes takes minutes, at every restart of the container.
type record struct {
	// Origin is where they came from last.
	Origin string `json:"origin"`
	// Parts are the proved parts, by digest and name.
	Parts map[string]proved `json:"parts"`
}

// proved are the files that one part brought; none for a layer without a file of the model.
type proved struct {
	Files []provedFile `json:"files"`
}

// provedFile is a file as it was when its digest was right.
type provedFile struct {
	Path     string `json:"path"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"`
}

const recordFile = ours + "/weights.json"

// maxRecord bounds what is read of a record; 100 000 files need less.
const maxRecord = 64 << 20

// readRecord reads what an earlier run left. One that cannot be understood is none.
func (f *fetcher) readRecord() error {
	f.record = record{Parts: map[string]proved{}}
	if err := f.root.MkdirAll(ours, 0o755); err != nil {
		return local("make the folder for what is not finished", err)
	}
	info, err := f.root.Stat(recordFile)
	if err != nil || info.Size() > maxRecord {
		return nil //nolint:nilerr // the first run
	}
	raw, err := f.root.ReadFile(recordFile)
	if err != nil {
		return local("read the record of the weights", err)
	}
	var r record
	if json.Unmarshal(raw, &r) == nil && r.Parts != nil {
		f.record = r
	}
	return nil
}

// writeRecord is called under the lock.
func (f *fetcher) writeRecord() error {
	raw, err := json.MarshalIndent(f.record, "", " ")
	if err != nil {
		return local("write the record of the weights", err)
	}
	if err := f.root.WriteFile(recordFile+".new", raw, 0o644); err != nil {
		return local("write the record of the weights", err)
	}
	return local("write the record of the weights", f.root.Rename(recordFile+".new", recordFile))
}

// keep finds the parts that are here, and returns the others.
func (f *fetcher) keep() (missing []int) {
	old := f.record
	f.record = record{Origin: f.plan.Origin, Parts: map[string]proved{}}
	for i, part := range f.plan.Parts {
		was, ok := old.Parts[part.key()]
		if !ok || !f.fits(part, was) || !f.claim(i, was) {
			missing = append(missing, i)
			continue
		}
		f.record.Parts[part.key()] = was
		f.done.Add(part.Size)
	}
	f.forget(old)
	return missing
}

// fits says whether files are as the record has them, and where the part wants them.
func (f *fetcher) fits(part Part, was proved) bool {
	if part.Form == Plain && (len(was.Files) != 1 || was.Files[0].Path != part.Name) {
		return false
	}
	for _, file := range was.Files {
		info, err := f.root.Lstat(file.Path)
		if err != nil || !info.Mode().IsRegular() || info.Size() != file.Size || info.ModTime().UnixNano() != file.Modified {
			return false
		}
	}
	return true
}

// claim notes that a part has files, unless another part has one of them.
func (f *fetcher) claim(i int, was proved) bool {
	for _, file := range was.Files {
		if _, taken := f.owner[file.Path]; taken {
			return false
		}
	}
	for _, file := range was.Files {
		f.owner[file.Path] = i
	}
	return true
}

// forget removes files that an earlier plan brought and this one does not name: an
// engine would load the shards of two models together.
func (f *fetcher) forget(old record) {
	wanted, known := map[string]bool{}, map[string]bool{}
	for _, part := range f.plan.Parts {
		known[part.key()] = true
		if part.Form == Plain {
			wanted[part.Name] = true
		}
	}
	for key, was := range old.Parts {
		if known[key] {
			continue
		}
		for _, file := range was.Files {
			if _, taken := f.owner[file.Path]; !taken && !wanted[file.Path] && CheckName(file.Path) == nil {
				_ = f.root.Remove(file.Path) // it may be gone
			}
		}
	}
}

// tidy removes pieces of parts that the plan does not have, or that are finished.
func (f *fetcher) tidy() error {
	entries, err := fs.ReadDir(f.root.FS(), ours)
	if err != nil {
		return local("look at what is not finished", err)
	}
	for _, e := range entries {
		name := path.Join(ours, e.Name())
		if name == recordFile || f.pieceWanted(e.Name()) {
			continue
		}
		if err := f.root.RemoveAll(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return local("remove what nobody needs", err)
		}
	}
	return nil
}

// pieceWanted says whether a piece belongs to a part that is not finished.
func (f *fetcher) pieceWanted(name string) bool {
	return slices.ContainsFunc(f.plan.Parts, func(p Part) bool {
		_, finished := f.record.Parts[p.key()]
		return !finished && strings.HasPrefix(name, p.piece())
	})
}

// pieces is how many bytes of unfinished parts are on disk.
func (f *fetcher) pieces() int64 {
	entries, err := fs.ReadDir(f.root.FS(), ours)
	if err != nil {
		return 0
	}
	var n int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && f.pieceWanted(e.Name()) {
			n += info.Size()
		}
	}
	return n
}
