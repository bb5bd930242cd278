package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kaito.sh/kaito/localcluster/internal/images/layer"
)

// Record is a finished build: enough to push it again without building.
type Record struct {
	// Key is the hash of the input that it was built from.
	Key string `json:"key"`
	// Lock is the hash of the lock file after it.
	Lock   string        `json:"lock,omitempty"`
	Digest string        `json:"digest"`
	Config v1.Config     `json:"config"`
	Layers []*layer.Blob `json:"layers"`
	// ImageID is the image in buildah's storage, for running its tree.
	ImageID  string        `json:"imageID,omitempty"`
	Packages Packages      `json:"packages,omitempty"`
	CPU      time.Duration `json:"cpu"`
	Wall     time.Duration `json:"wall"`
}

// Size is the number of bytes that a pull fetches.
func (r Record) Size() int64 {
	var all int64
	for _, b := range r.Layers {
		n, _ := b.Size() // a Blob knows its size
		all += n
	}
	return all
}

// Image assembles the OCI image. Nothing in it depends on the machine or the hour.
func (r Record) Image() (v1.Image, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	created := v1.Time{Time: time.Unix(layer.Epoch, 0).UTC()}
	var adds []mutate.Addendum
	for _, b := range r.Layers {
		adds = append(adds, mutate.Addendum{Layer: b, MediaType: types.OCILayerZStd, History: v1.History{Created: created, CreatedBy: "kaito images"}})
	}
	image, err := mutate.Append(image, adds...)
	if err != nil {
		return nil, fmt.Errorf("assemble the image: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("assemble the image's config: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created, file.Config = "linux", "amd64", created, r.Config
	return mutate.ConfigFile(image, file)
}

// store keeps records and layers in the cache folder.
type store struct{ dir string }

func (s store) layers() string { return filepath.Join(s.dir, "layers") }

func (s store) logFile(name string) string { return filepath.Join(s.dir, "logs", name+".log") }

func (s store) recordFile(name string) string { return filepath.Join(s.dir, "records", name+".json") }

// load answers the record of an image, and whether there is one with all its layers.
func (s store) load(name string) (Record, bool, error) {
	var r Record
	found, err := readJSON(s.recordFile(name), &r)
	if err != nil || !found {
		return r, false, err
	}
	for i, b := range r.Layers {
		placed, whole := b.In(s.layers())
		if !whole {
			return r, false, nil
		}
		r.Layers[i] = placed
	}
	return r, true, nil
}

// loadAll answers the records of all images that are whole.
func (s store) loadAll(images []Image) (map[string]Record, error) {
	all := map[string]Record{}
	for _, image := range images {
		r, whole, err := s.load(image.Name)
		if err != nil {
			return nil, err
		}
		if whole {
			all[image.Name] = r
		}
	}
	return all, nil
}

func (s store) save(name string, r Record) error { return writeJSON(s.recordFile(name), r) }

// readJSON reads a file of the cache. One that does not parse counts as missing: the
// cache is made again from the sources.
func readJSON(file string, into any) (bool, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return json.Unmarshal(text, into) == nil, nil
}

// writeJSON writes a file whole or not at all.
func writeJSON(file string, what any) error {
	text, err := json.MarshalIndent(what, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(file, append(text, '\n'))
}

// writeWhole writes a file by way of a second one, so that a cut leaves the old one.
func writeWhole(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
