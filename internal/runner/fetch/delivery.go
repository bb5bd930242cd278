package fetch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
)

// copyBuffer is large enough that reading, adding up and writing cost few calls.
const copyBuffer = 1 << 20

// delivery is the files of one part on their way to their place.
type delivery struct {
	f     *fetcher
	i     int
	reuse bool
	in    *tally
	files []arrival
}

// arrival is one file that is complete or becomes so.
type arrival struct {
	name, piece string
	size        int64
	// file is open where it was written; one that was there already is not.
	file *os.File
}

// receive takes the content of one file. Where splice is given, what is on disk of it
// is passed off as what comes next; the digest decides whether that was right.
func (d *delivery) receive(name string, length int64, from io.Reader, splice *tally) error {
	if err := d.own(name); err != nil {
		return err
	}
	a := arrival{name: name, size: length}
	if d.reuse && splice != nil {
		kept, err := d.there(a, from, splice)
		if kept || err != nil {
			return err
		}
	}
	return d.write(a, from, splice)
}

// own makes sure that no other part brings the same file.
func (d *delivery) own(name string) error {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	if other, taken := d.f.owner[name]; taken && other != d.i {
		return Unusable("%s holds the file %q in two layers; %s", d.f.plan.Origin, name, d.f.plan.Content.Again)
	}
	d.f.owner[name] = d.i
	return nil
}

// there passes off a whole file that stands in its place already.
func (d *delivery) there(a arrival, from io.Reader, splice *tally) (bool, error) {
	file, err := d.f.root.Open(a.name)
	if err != nil {
		return false, nil //nolint:nilerr // not there, or not to be read: it is fetched
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != a.size {
		return false, nil //nolint:nilerr // as above
	}
	splice.known = io.LimitReader(file, a.size)
	if err := d.copy(io.Discard, from, a.size); err != nil {
		return true, err
	}
	d.files = append(d.files, a)
	return true, nil
}

// write writes a file beside its place, going on where an earlier run stopped.
func (d *delivery) write(a arrival, from io.Reader, splice *tally) error {
	part := d.f.plan.Parts[d.i]
	a.piece = path.Join(ours, fmt.Sprintf("%s%d", part.piece(), len(d.files)))
	file, err := d.f.root.OpenFile(a.piece, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return local(fmt.Sprintf("create %q", a.name), err)
	}
	a.file = file
	d.files = append(d.files, a)
	begun, err := d.begun(file, a.size, splice != nil)
	if err != nil {
		return err
	}
	if begun > 0 {
		splice.known = io.LimitReader(file, begun)
		if err := d.copy(io.Discard, from, begun); err != nil {
			return err
		}
	}
	return d.copy(disk{file, a.name}, from, a.size-begun)
}

// begun is how many bytes of a piece can be used; a useless one is emptied.
func (d *delivery) begun(file *os.File, length int64, possible bool) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, local("look at a piece", err)
	}
	if d.reuse && possible && info.Size() <= length {
		return info.Size(), nil
	}
	return 0, local("empty a piece", file.Truncate(0))
}

// copy moves exactly n bytes.
func (d *delivery) copy(to io.Writer, from io.Reader, n int64) error {
	moved, err := io.CopyBuffer(struct{ io.Writer }{to}, io.LimitReader(from, n), make([]byte, copyBuffer))
	if err != nil {
		return err //nolint:wrapcheck // of the line or of our disk, and each says so itself
	}
	if moved < n {
		return Unusable("The layer %q ends inside of a file; %s", d.f.plan.Parts[d.i].Name, d.f.plan.Content.Again)
	}
	return nil
}

// disk tells errors of our disk from errors of the line.
type disk struct {
	*os.File
	name string
}

func (d disk) Write(p []byte) (int, error) {
	n, err := d.File.Write(p)
	return n, local(fmt.Sprintf("write %q", d.name), err)
}

// finish gives proved files their names, and notes that they are proved.
func (d *delivery) finish(part Part) error {
	var was proved
	for _, a := range d.files {
		if a.file != nil {
			if err := d.settle(a); err != nil {
				return err
			}
		}
		info, err := d.f.root.Lstat(a.name)
		if err != nil {
			return local(fmt.Sprintf("look at %q", a.name), err)
		}
		was.Files = append(was.Files, provedFile{Path: a.name, Size: info.Size(), Modified: info.ModTime().UnixNano()})
	}
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.f.record.Parts[part.key()] = was
	return d.f.writeRecord()
}

// settle brings one file to its place. It must be on disk before it has its name: after
// a power cut a file with a name would be taken for whole.
func (d *delivery) settle(a arrival) error {
	err := errors.Join(a.file.Sync(), a.file.Close())
	if err == nil {
		err = d.f.root.MkdirAll(path.Dir(a.name), 0o755)
	}
	if err == nil {
		err = d.f.root.Rename(a.piece, a.name)
	}
	return local(fmt.Sprintf("put %q in its place", a.name), err)
}

// failed keeps the pieces for the next attempt, unless they are what is wrong.
func (d *delivery) failed(err error) error {
	var wrong *digestError
	if !asDigest(err, &wrong) {
		return err
	}
	for _, a := range d.files {
		if a.file != nil {
			if err := local("empty a piece", a.file.Truncate(0)); err != nil {
				return err
			}
		}
	}
	return err
}

// close closes what is open; closing twice does no harm.
func (d *delivery) close() {
	for _, a := range d.files {
		if a.file != nil {
			_ = a.file.Close()
		}
	}
}
