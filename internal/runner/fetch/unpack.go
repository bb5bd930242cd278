package fetch

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
)

// digestError says that bytes add up to something else.
type digestError struct{ got string }

func (e *digestError) Error() string { return "the bytes add up to " + e.got }

func asDigest(err error, into **digestError) bool { return errors.As(err, into) }

// maxWindow bounds the memory that a strange zstd layer can ask for.
const maxWindow = 128 << 20

// once fetches a part from beginning to end, with what is on disk of it where reuse
// allows. used says that there was such a thing.
func (f *fetcher) once(ctx context.Context, i int, reuse bool) (used bool, err error) {
	part := f.plan.Parts[i]
	var last int64
	net := &stream{
		ctx: ctx, part: part, stall: f.Stall,
		tries: patience{sleep: f.Sleep, log: f.Log, what: fmt.Sprintf("%q of %s", part.Name, f.plan.Origin)},
		moved: func(at int64) {
			f.Report(f.done.Add(at-last), f.total)
			last = at
		},
	}
	in := &tally{net: net, sum: part.Digest.sum(part.Size)}
	d := &delivery{f: f, i: i, reuse: reuse, in: in}
	defer func() {
		net.close()
		d.close()
		if err != nil {
			f.Report(f.done.Add(-last), f.total) // it counts again when it comes again
		}
	}()
	err = d.take(part)
	if err == nil || !isFinal(ctx, err) {
		// The end of an archive counts too; a damaged one is told from a strange one by its digest.
		_, drain := io.Copy(io.Discard, in)
		err = errors.Join(drain, digestFirst(part, in, err))
	}
	if err != nil {
		return in.used, d.failed(err)
	}
	return in.used, d.finish(part)
}

// isFinal says whether what went wrong has nothing to do with the bytes.
func isFinal(ctx context.Context, err error) bool {
	var e *Error
	return ctx.Err() != nil || errors.As(err, &e) && e.Reason != Unusable("").Reason
}

// digestFirst prefers a wrong digest to whatever it led to.
func digestFirst(part Part, in *tally, err error) error {
	if in.net.at == part.Size && !part.Digest.is(in.sum) {
		return &digestError{got: string(part.Digest.Kind) + ":" + hex.EncodeToString(in.sum.Sum(nil))}
	}
	return err
}

// take reads the files out of a part.
func (d *delivery) take(part Part) error {
	switch part.Form {
	case Plain:
		return d.receive(part.Name, part.Size, d.in, d.in)
	case TarGzip:
		plain, err := gzip.NewReader(d.in)
		if err != nil {
			return d.damaged(part, err)
		}
		return d.archive(part, plain, nil)
	case TarZstd:
		plain, err := zstd.NewReader(d.in, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return d.damaged(part, err)
		}
		defer plain.Close()
		return d.archive(part, plain, nil)
	default:
		return d.archive(part, d.in, d.in)
	}
}

// archive takes the files below Folder. splice is the part's own bytes where they are
// stored as they are, so that what is on disk can stand in for them.
func (d *delivery) archive(part Part, from io.Reader, splice *tally) error {
	members := tar.NewReader(from)
	for {
		head, err := members.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return d.damaged(part, err)
		}
		name, inside := strings.CutPrefix(strings.TrimPrefix(path.Clean("/"+head.Name), "/"), d.f.plan.Content.Folder+"/")
		if !inside || head.Typeflag == tar.TypeDir || part.Wanted != nil && !part.Wanted(name) {
			continue
		}
		if err := d.member(head, name, members, splice); err != nil {
			return err
		}
	}
}

// member takes one file of an archive.
func (d *delivery) member(head *tar.Header, name string, from io.Reader, splice *tally) error {
	origin := d.f.plan.Origin
	if head.Typeflag != tar.TypeReg {
		return Unusable("%s holds %q, which is a link or a device; %s, with plain files only", origin, head.Name, d.f.plan.Content.Again)
	}
	// path.Clean above must not turn a name that leads out into one that does not.
	if strings.Contains("/"+head.Name+"/", "/../") {
		return Unusable("%s holds the file %q: its name leads out of the folder", origin, head.Name)
	}
	if err := CheckName(name); err != nil {
		return Unusable("%s holds the file %q: %v", origin, head.Name, err)
	}
	if strings.HasPrefix(path.Base(name), ".wh.") {
		return Unusable("%s removes %q of a lower layer; %s", origin, head.Name, d.f.plan.Content.Again)
	}
	if splice != nil && head.Size > d.f.plan.Parts[d.i].Size {
		return Unusable("%s holds the file %q, which claims to be larger than its layer", origin, head.Name)
	}
	if splice == nil {
		if err := d.room(head.Size); err != nil {
			return err
		}
	}
	return d.receive(name, head.Size, from, splice)
}

// room looks for space where the size in the plan was of compressed bytes.
func (d *delivery) room(need int64) error {
	free, err := d.f.Free(d.f.Dir)
	if err != nil {
		return local("look for free space", err)
	}
	if free < need {
		return local(fmt.Sprintf("unpack %s, %s are free", size(need), size(free)), syscall.ENOSPC)
	}
	return nil
}

// damaged is an archive that cannot be read; errors of the line pass as they are.
func (d *delivery) damaged(part Part, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return Unusable("The layer %q cannot be unpacked: %v; %s", part.Name, err, d.f.plan.Content.Again)
}
