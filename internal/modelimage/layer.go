package modelimage

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// member is one file of the model on its way into a layer of its own.
type member struct {
	// name is what it is called under Dir.
	name string
	// size is known before the first byte is read: it stands in the tar header.
	size int64
	// open is called once.
	open func() (io.ReadCloser, error)
}

const (
	tarBlock = 512
	// copyBuffer and copyDepth make a pipeline: one buffer is read while the one
	// before it is written and the one before that is hashed.
	copyBuffer = 2 << 20
	copyDepth  = 4
	// blockSize is what direct writes must be aligned to.
	blockSize = 4096
)

// tarEnds is what stands before and behind the bytes of a file in a tar archive
// of one member. Nothing in it depends on the machine, the user or the clock.
func tarEnds(name string, size int64) (before, behind []byte, err error) {
	var b bytes.Buffer
	err = tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     path.Join(Dir, name),
		Size:     size,
		Mode:     0o644,
		ModTime:  time.Unix(0, 0),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("describe %q in the layer: %w", name, err)
	}
	pad := (tarBlock - size%tarBlock) % tarBlock
	return b.Bytes(), make([]byte, pad+2*tarBlock), nil
}

// writeLayer streams a file as a tar archive into dst and hashes the bytes as
// they pass. They are read once and hashed once: an uncompressed layer's digest
// is also its diff id.
func writeLayer(ctx context.Context, dst io.Writer, m member, passed func(int64)) (v1.Hash, int64, error) {
	before, behind, err := tarEnds(m.name, m.size)
	if err != nil {
		return v1.Hash{}, 0, err
	}
	src, err := m.open()
	if err != nil {
		return v1.Hash{}, 0, fmt.Errorf("open %q: %w", m.name, err)
	}
	defer func() { _ = src.Close() }()
	in := io.MultiReader(bytes.NewReader(before), &exactly{src: src, left: m.size, name: m.name}, bytes.NewReader(behind))
	sum := sha256.New()
	total, err := pipe(ctx, dst, in, sum, passed)
	if err != nil {
		return v1.Hash{}, 0, err
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, total, nil
}

// exactly fails when a file is not as long as its header says: it was changed
// while it was read.
type exactly struct {
	src  io.Reader
	left int64
	name string
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.src.Read(p)
	e.left -= int64(n)
	if e.left < 0 || errors.Is(err, io.EOF) && e.left > 0 {
		return 0, refuse(e.name, "wait until nobody writes to it and run again", "changed while it was packaged")
	}
	return n, err //nolint:wrapcheck // io.EOF must pass as it is
}

// pipe copies in to dst and to sum. Reading, writing and hashing run beside each other.
func pipe(ctx context.Context, dst io.Writer, in io.Reader, sum hash.Hash, passed func(int64)) (int64, error) {
	free, read, written := make(chan []byte, copyDepth), make(chan []byte, copyDepth), make(chan []byte, copyDepth)
	for range copyDepth {
		free <- newBuffer(copyBuffer)
	}
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		for b := range written {
			sum.Write(b)
			free <- b[:cap(b)]
		}
	}()
	// A writer that fails ends the reader, which may be waiting for a free buffer.
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan error, 1)
	go func() { ended <- fill(ctx, in, free, read) }()
	var total int64
	for b := range read {
		if _, err := dst.Write(b); err != nil {
			stop(fmt.Errorf("write layer: %w", err))
			break
		}
		total += int64(len(b))
		written <- b
		passed(int64(len(b)))
	}
	close(written)
	err := <-ended
	<-hashed
	return total, err
}

// fill reads into free buffers until the input ends.
func fill(ctx context.Context, in io.Reader, free, read chan []byte) error {
	defer close(read)
	for {
		var b []byte
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case b = <-free:
		}
		n, err := io.ReadFull(in, b)
		if n > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case read <- b[:n]:
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("read model: %w", err)
		}
	}
}
