package adapter

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// proof adds up what is read, and remembers when the line broke.
type proof struct {
	in  io.Reader
	sum hash.Hash
	err error
}

// Read reads on.
func (p *proof) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	p.sum.Write(b[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		p.err = err
	}
	return n, err //nolint:wrapcheck // io.EOF must pass as it is
}

// unpack takes the adapter's files out of a layer. As in any image, a later layer
// replaces and removes what an earlier one brought.
func unpack(in io.Reader, kind types.MediaType, to string) error {
	switch kind {
	case types.OCIUncompressedLayer, types.DockerUncompressedLayer:
	case types.OCILayer, types.DockerLayer:
		plain, err := gzip.NewReader(in)
		if err != nil {
			return unusable("", "a layer is no gzip: %v", err)
		}
		in = plain
	case types.OCILayerZStd:
		const window = 128 << 20 // bounds the memory that a strange layer can ask for
		plain, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(window), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return unusable("", "a layer is no zstd: %v", err)
		}
		defer plain.Close()
		in = plain
	default:
		return unusable("", "a layer is of type %q; an adapter image holds tar archives, as `docker build` makes them", kind)
	}
	// A small layer can unpack to petabytes.
	members := tar.NewReader(io.LimitReader(in, 2*MaxBytes))
	for {
		head, err := members.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unusable("", "a layer cannot be unpacked: %v", err)
		}
		if err := member(head, members, to); err != nil {
			return err
		}
	}
}

// member takes one member of an archive, if it is ours.
func member(head *tar.Header, from io.Reader, to string) error {
	name := strings.TrimPrefix(path.Clean("/"+head.Name), "/")
	if gone, ok := removes(name); ok {
		return remove(to, gone)
	}
	file, inside := strings.CutPrefix(name, Dir+"/")
	limit := int64(maxConfig)
	switch {
	case name == Dir && head.Typeflag != tar.TypeDir:
		return unusable("", "/%s is no folder", Dir)
	case !inside || file != ConfigFile && file != WeightsFile:
		return nil
	case file == WeightsFile:
		limit = MaxBytes
	}
	switch {
	case head.Typeflag != tar.TypeReg:
		return unusable(head.Name, "is a link or a device; an adapter image holds plain files")
	case strings.Contains("/"+head.Name+"/", "/../"):
		return unusable(head.Name, "its name leads out of its folder")
	case head.Size > limit:
		return unusable(head.Name, "has %d bytes, at most %d make sense", head.Size, limit)
	}
	return write(filepath.Join(to, file), from, head.Size)
}

// remove takes away files of earlier layers.
func remove(from string, files []string) error {
	for _, file := range files {
		if err := os.Remove(filepath.Join(from, file)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove %q: %w", file, err)
		}
	}
	return nil
}

// removes names the files of ours that a member of a later layer removes.
func removes(name string) ([]string, bool) {
	switch name {
	case ".wh." + Dir, ".wh..wh..opq", Dir + "/.wh..wh..opq":
		return []string{ConfigFile, WeightsFile}, true
	case Dir + "/.wh." + ConfigFile:
		return []string{ConfigFile}, true
	case Dir + "/.wh." + WeightsFile:
		return []string{WeightsFile}, true
	default:
		return nil, false
	}
}

// write writes exactly size bytes.
func write(name string, from io.Reader, size int64) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write adapter: %w", err)
	}
	defer func() { _ = file.Close() }()
	n, err := io.Copy(disk{file}, io.LimitReader(from, size))
	var local *diskError
	switch {
	case errors.As(err, &local):
		return fmt.Errorf("write adapter: %w", err)
	case err != nil:
		return unusable("", "a layer cannot be unpacked: %v", err)
	case n < size:
		return unusable("", "a layer ends inside of %q", filepath.Base(name))
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write adapter: %w", err)
	}
	return nil
}

// disk tells errors of our disk from errors of an archive.
type disk struct{ file *os.File }

// diskError is an error of our disk.
type diskError struct{ error }

// Unwrap is the error.
func (e *diskError) Unwrap() error { return e.error }

// Write writes on.
func (d disk) Write(p []byte) (int, error) {
	n, err := d.file.Write(p)
	if err != nil {
		err = &diskError{err}
	}
	return n, err
}
