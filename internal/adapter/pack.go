package adapter

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kaito.sh/kaito/internal/oci"
)

// Packed is an adapter as an image. Nothing is written anywhere: the image's layer is
// read out of the adapter's own files, which stay open until Close.
type Packed struct {
	// Image can be pushed until Close.
	Image oci.Image
	// Facts are those of the adapter, Bytes the size of its two files.
	Facts Facts
	Bytes int64
	files *opened
}

// Close closes the files.
func (p *Packed) Close() { p.files.close() }

// Pack checks the adapter in a folder and makes an image of it: one layer, stored and not
// compressed, with the two files below Dir. The same adapter and notes give the same
// digest. What is wrong with the adapter is an UnusableError.
func Pack(ctx context.Context, dir string, n Notes) (*Packed, error) {
	a, err := open(dir)
	if err != nil {
		return nil, err
	}
	image, err := a.image(ctx, n)
	if err != nil {
		a.close()
		return nil, fmt.Errorf("pack the adapter in %q: %w", dir, err)
	}
	return &Packed{Image: image, Facts: a.facts, Bytes: int64(len(a.raw)) + a.size, files: a}, nil
}

func (a *opened) image(ctx context.Context, n Notes) (oci.Image, error) {
	archive, err := archiveOf([]entry{
		{name: ConfigFile, from: bytes.NewReader(a.raw), size: int64(len(a.raw))},
		{name: WeightsFile, from: a.weights, size: a.size},
	})
	if err != nil {
		return oci.Image{}, err
	}
	layer, err := oci.Stored(ctx, types.OCIUncompressedLayer, archive, archive.size())
	if err != nil {
		return oci.Image{}, err
	}
	config, err := json.Marshal(v1.ConfigFile{
		// An adapter runs nowhere, but tools that pull images want to be told where.
		OS: "linux", Architecture: "amd64", Created: v1.Time{Time: time.Unix(0, 0).UTC()},
		// A stored layer's digest is also that of its content.
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{layer.Digest}},
	})
	if err != nil {
		return oci.Image{}, fmt.Errorf("write configuration: %w", err)
	}
	return oci.NewImage(oci.Bytes(types.OCIConfigJSON, config), []oci.Blob{layer}, n.annotations(a.facts))
}

// entry is one file of the archive.
type entry struct {
	name string
	from io.ReaderAt
	size int64
}

// archiveOf is a tar archive of a folder Dir with these files. Nothing in it depends on
// the machine, the user or the clock.
func archiveOf(members []entry) (joined, error) {
	head, err := header(tar.Header{Typeflag: tar.TypeDir, Name: Dir + "/", Mode: 0o755})
	if err != nil {
		return nil, err
	}
	out := joined{head}
	for _, m := range members {
		head, err := header(tar.Header{Typeflag: tar.TypeReg, Name: path.Join(Dir, m.name), Mode: 0o644, Size: m.size})
		if err != nil {
			return nil, err
		}
		const block = 512
		out = append(out, head, piece{m.from, m.size}, zeros((block-m.size%block)%block))
	}
	const end = 2 * 512
	return append(out, zeros(end)), nil
}

// header is what stands in an archive before a member's bytes.
func header(h tar.Header) (piece, error) {
	h.ModTime = time.Unix(0, 0)
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&h); err != nil {
		return piece{}, fmt.Errorf("describe %q in the layer: %w", h.Name, err)
	}
	return piece{bytes.NewReader(b.Bytes()), int64(b.Len())}, nil
}

func zeros(n int64) piece { return piece{bytes.NewReader(make([]byte, n)), n} }

// piece is a part of an archive.
type piece struct {
	io.ReaderAt
	size int64
}

// joined reads pieces as if they were one.
type joined []piece

func (j joined) size() (n int64) {
	for _, p := range j {
		n += p.size
	}
	return n
}

// ReadAt fills b from the byte at off on. A piece that is shorter than it was, because
// somebody wrote to the file, is an error.
func (j joined) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	for _, p := range j {
		if off >= p.size {
			off -= p.size
			continue
		}
		part := b[done:min(int64(len(b)), int64(done)+p.size-off)]
		n, err := p.ReaderAt.ReadAt(part, off)
		done += n
		if n < len(part) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return done, err
		}
		if off = 0; done == len(b) {
			return done, nil
		}
	}
	return done, io.EOF
}
