package modelimage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Image is what a model image says about itself.
type Image struct {
	// Facts are the annotations of the manifest.
	Facts Facts `json:"facts"`
	// Files are the layers in order.
	Files []File `json:"files"`
	// Bytes is the size of all layers.
	Bytes int64 `json:"bytes"`
}

// File is one file of a model, and the layer that carries it.
type File struct {
	// Path is where the file stands in the image: /model/config.json.
	Path string `json:"path"`
	// Digest and Bytes are the layer's: the file with its tar header.
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
}

// ErrNotModel says that an image or path is not a model.
var ErrNotModel = errors.New("it carries no sh.kaito.model annotations, so it is not a model image")

// ReadManifest reads a manifest. It returns ErrNotModel for any other image.
func ReadManifest(raw []byte) (Image, error) {
	var m v1.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return Image{}, fmt.Errorf("read manifest: %w", err)
	}
	facts, ok, err := FactsOf(m.Annotations)
	if err != nil {
		return Image{}, err
	}
	if !ok {
		return Image{}, ErrNotModel
	}
	image := Image{Facts: facts}
	for _, l := range m.Layers {
		image.Files = append(image.Files, File{Path: l.Annotations[layerPath], Digest: l.Digest.String(), Bytes: l.Size})
		image.Bytes += l.Size
	}
	return image, nil
}

// Inspect reads the facts of whatever stands at path: a packaged image, a GGUF
// file or a folder in transformers form. Only a packaged image has a digest.
func Inspect(path string) (Image, string, error) {
	raw, err := os.ReadFile(filepath.Join(path, indexFile))
	if err == nil {
		return inspectLayout(path, raw)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Image{}, "", fmt.Errorf("find model: %w", err)
	}
	m := &model{}
	defer m.close()
	if info.IsDir() {
		err = m.loadFolder(Options{Path: path})
	} else {
		err = m.loadFile(path)
	}
	if err != nil {
		return Image{}, "", err
	}
	image := Image{Facts: m.facts, Bytes: m.total()}
	for _, x := range m.members {
		image.Files = append(image.Files, File{Path: x.name, Bytes: x.size})
	}
	return image, "", nil
}

// inspectLayout reads the one image of a layout.
func inspectLayout(dir string, index []byte) (Image, string, error) {
	var list v1.IndexManifest
	if err := json.Unmarshal(index, &list); err != nil {
		return Image{}, "", fmt.Errorf("read %q: %w", filepath.Join(dir, indexFile), err)
	}
	if len(list.Manifests) != 1 {
		return Image{}, "", refuse(dir, "", "is a layout of %d images, a packaged model is one", len(list.Manifests))
	}
	digest := list.Manifests[0].Digest
	raw, err := os.ReadFile(filepath.Join(dir, "blobs", digest.Algorithm, digest.Hex))
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, "", refuse(dir, "package the model again", "lacks its manifest %s", digest)
	}
	if err != nil {
		return Image{}, "", fmt.Errorf("read manifest: %w", err)
	}
	if sum, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || sum != digest {
		return Image{}, "", refuse(dir, "package the model again", "has a manifest that does not match its digest %s", digest)
	}
	image, err := ReadManifest(raw)
	if err != nil {
		return Image{}, "", fmt.Errorf("inspect %q: %w", strings.TrimSuffix(dir, "/"), err)
	}
	return image, digest.String(), nil
}
