package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Bytes is a blob that stands in memory.
func Bytes(kind types.MediaType, raw []byte) Blob {
	sum := sha256.Sum256(raw)
	return Blob{
		Descriptor: v1.Descriptor{
			MediaType: kind, Size: int64(len(raw)), Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])},
		},
		Open: func() (Content, error) { return shared{bytes.NewReader(raw)}, nil },
	}
}

// Stored is a blob of size bytes that can be read as often as needed. They are read once
// for their digest, and again to upload them: from must stay open, and as it is, until then.
func Stored(ctx context.Context, kind types.MediaType, from io.ReaderAt, size int64) (Blob, error) {
	const buffer = 1 << 20
	sum := sha256.New()
	in := io.NewSectionReader(from, 0, size)
	for b := make([]byte, buffer); ; {
		if ctx.Err() != nil {
			return Blob{}, context.Cause(ctx)
		}
		n, err := io.ReadFull(in, b)
		sum.Write(b[:n])
		if at, _ := in.Seek(0, io.SeekCurrent); err != nil && at == size {
			break
		}
		if err != nil {
			return Blob{}, fmt.Errorf("read a blob of %d bytes: %w", size, err)
		}
	}
	return Blob{
		Descriptor: v1.Descriptor{MediaType: kind, Size: size, Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}},
		Open:       func() (Content, error) { return shared{from}, nil },
	}, nil
}

// shared is content that others read too, and that is closed by who opened it.
type shared struct{ io.ReaderAt }

// Close leaves it open.
func (shared) Close() error { return nil }

// NewImage puts an image together. The same parts give the same bytes.
func NewImage(config Blob, layers []Blob, annotations map[string]string) (Image, error) {
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: config.Descriptor, Annotations: annotations}
	image := Image{MediaType: types.OCIManifestSchema1}
	seen := map[v1.Hash]bool{}
	for _, b := range layers {
		m.Layers = append(m.Layers, b.Descriptor)
	}
	for _, b := range append(layers[:len(layers):len(layers)], config) {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			image.Blobs = append(image.Blobs, b)
		}
	}
	var err error
	if image.Manifest, err = json.Marshal(m); err != nil {
		return Image{}, fmt.Errorf("write manifest: %w", err)
	}
	return image, nil
}
