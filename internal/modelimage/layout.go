package modelimage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layerPath is the annotation of a layer that says which file it holds.
const layerPath = Prefix + "path"

// Files of an OCI image layout.
const (
	layoutFile = "oci-layout"
	indexFile  = "index.json"
)

// writeLayout writes the model as an OCI image layout into a new folder.
func writeLayout(ctx context.Context, dir string, m *model, report func(Progress)) (Image, v1.Hash, error) {
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return Image{}, v1.Hash{}, fmt.Errorf("create layout: %w", err)
	}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: m.facts.Annotations()}
	config := v1.ConfigFile{OS: "linux", Architecture: "amd64", Created: v1.Time{Time: time.Unix(0, 0).UTC()}, RootFS: v1.RootFS{Type: "layers"}}
	p := Progress{Total: m.total()}
	passed := func(n int64) {
		p.Done = min(p.Done+n, p.Total) // tar's own bytes are not the user's
		if report != nil {
			report(p)
		}
	}
	for _, x := range m.members {
		layer, err := writeBlob(ctx, blobs, x, passed)
		if err != nil {
			return Image{}, v1.Hash{}, err
		}
		manifest.Layers = append(manifest.Layers, layer)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
	}
	raw, digest, err := describe(blobs, &manifest, &config)
	if err != nil {
		return Image{}, v1.Hash{}, err
	}
	if err := writeIndex(dir, raw, digest); err != nil {
		return Image{}, v1.Hash{}, err
	}
	image, err := ReadManifest(raw)
	return image, digest, err
}

// writeBlob writes one file as a layer under the name of its digest.
func writeBlob(ctx context.Context, blobs string, x member, passed func(int64)) (v1.Descriptor, error) {
	part := filepath.Join(blobs, "layer.partial")
	file, err := createLayer(part, x.size)
	if err != nil {
		return v1.Descriptor{}, err
	}
	digest, size, err := writeLayer(ctx, layerFile{file}, x, passed)
	if err = errors.Join(err, file.Close()); err != nil {
		return v1.Descriptor{}, err
	}
	if err := os.Rename(part, filepath.Join(blobs, digest.Hex)); err != nil {
		return v1.Descriptor{}, fmt.Errorf("name layer: %w", err)
	}
	return v1.Descriptor{
		MediaType:   types.OCIUncompressedLayer,
		Digest:      digest,
		Size:        size,
		Annotations: map[string]string{layerPath: "/" + Dir + "/" + x.name},
	}, nil
}

// describe writes configuration and manifest.
func describe(blobs string, manifest *v1.Manifest, config *v1.ConfigFile) ([]byte, v1.Hash, error) {
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, v1.Hash{}, fmt.Errorf("write configuration: %w", err)
	}
	digest, err := putBlob(blobs, raw)
	if err != nil {
		return nil, v1.Hash{}, err
	}
	manifest.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: digest, Size: int64(len(raw))}
	if raw, err = json.Marshal(manifest); err != nil {
		return nil, v1.Hash{}, fmt.Errorf("write manifest: %w", err)
	}
	digest, err = putBlob(blobs, raw)
	return raw, digest, err
}

func putBlob(blobs string, raw []byte) (v1.Hash, error) {
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return v1.Hash{}, fmt.Errorf("hash blob: %w", err)
	}
	if err := os.WriteFile(filepath.Join(blobs, digest.Hex), raw, 0o644); err != nil {
		return v1.Hash{}, fmt.Errorf("write blob: %w", err)
	}
	return digest, nil
}

// writeIndex makes the folder a layout with this one image.
func writeIndex(dir string, manifest []byte, digest v1.Hash) error {
	raw, err := json.MarshalIndent(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: types.OCIManifestSchema1, Digest: digest, Size: int64(len(manifest)),
			Platform: &v1.Platform{OS: "linux", Architecture: "amd64"},
		}},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, indexFile), raw, 0o644); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, layoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644); err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	return nil
}

// replaceable refuses an output folder that holds something that is not ours to delete.
func replaceable(out string) error {
	if out == "" {
		return refuse("", "give --out DIR", "no folder for the image")
	}
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at --out: %w", err)
	}
	for _, e := range entries {
		if e.Name() == layoutFile {
			return nil
		}
	}
	if len(entries) > 0 {
		return refuse(out, "choose another --out", "is not empty and holds no OCI image layout")
	}
	return nil
}

// settle moves a finished layout to its place. When the place already holds the
// same image it stays, and with it what is known of a push that was cut.
func settle(partial, out string) (unchanged bool, err error) {
	was, err := os.ReadFile(filepath.Join(out, indexFile))
	if err == nil {
		is, err := os.ReadFile(filepath.Join(partial, indexFile))
		if err == nil && bytes.Equal(was, is) && sameBlobs(partial, out) {
			return true, os.RemoveAll(partial)
		}
	}
	if err := os.RemoveAll(out); err != nil {
		return false, fmt.Errorf("replace %q: %w", out, err)
	}
	if err := os.Rename(partial, out); err != nil {
		return false, fmt.Errorf("move the image to %q: %w", out, err)
	}
	return false, nil
}

// sameBlobs compares names and sizes: the names are digests.
func sameBlobs(a, b string) bool {
	entries, err := os.ReadDir(filepath.Join(a, "blobs", "sha256"))
	if err != nil {
		return false
	}
	for _, e := range entries {
		x, errx := e.Info()
		y, erry := os.Stat(filepath.Join(b, "blobs", "sha256", e.Name()))
		if errx != nil || erry != nil || x.Size() != y.Size() {
			return false
		}
	}
	return true
}
