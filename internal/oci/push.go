package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// manifest is a manifest as it stands in a layout, byte for byte.
type manifest struct {
	raw  []byte
	kind types.MediaType
}

// RawManifest and MediaType make it a remote.Taggable.
func (m manifest) RawManifest() ([]byte, error)        { return m.raw, nil }
func (m manifest) MediaType() (types.MediaType, error) { return m.kind, nil }

// layout is an OCI image layout with one image.
type layout struct {
	dir      string
	image    v1.Descriptor
	raw      []byte
	manifest v1.Manifest
}

// openLayout reads index and manifest.
func openLayout(dir string) (layout, error) {
	l := layout{dir: dir}
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return l, fmt.Errorf("open image layout: %w", err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(raw, &index); err != nil {
		return l, fmt.Errorf("read %q: %w", filepath.Join(dir, "index.json"), err)
	}
	if len(index.Manifests) != 1 {
		return l, fmt.Errorf("open image layout %q: it holds %d images, not one", dir, len(index.Manifests))
	}
	l.image = index.Manifests[0]
	if l.raw, err = os.ReadFile(l.blob(l.image.Digest)); err != nil {
		return l, fmt.Errorf("read manifest: %w", err)
	}
	if err := json.Unmarshal(l.raw, &l.manifest); err != nil {
		return l, fmt.Errorf("read manifest %s: %w", l.image.Digest, err)
	}
	return l, nil
}

func (l layout) blob(h v1.Hash) string {
	return filepath.Join(l.dir, "blobs", h.Algorithm, h.Hex)
}

// blobs are configuration and layers, each once.
func (l layout) blobs() []v1.Descriptor {
	seen := map[v1.Hash]bool{}
	var out []v1.Descriptor
	for _, d := range append(l.manifest.Layers[:len(l.manifest.Layers):len(l.manifest.Layers)], l.manifest.Config) {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			out = append(out, d)
		}
	}
	return out
}

// Push uploads the image of a layout and returns its digest. What the registry
// has is skipped; what was begun is continued, also by a later run.
func (c *Client) Push(ctx context.Context, dir, ref string) (v1.Hash, error) {
	l, err := openLayout(dir)
	if err != nil {
		return v1.Hash{}, err
	}
	r, err := c.parse(ref)
	if err != nil {
		return v1.Hash{}, err
	}
	t := newTracker(c.report, l.blobs())
	for _, b := range l.blobs() {
		if err := c.pushBlob(ctx, l, r.Context(), b, t); err != nil {
			return v1.Hash{}, fmt.Errorf("push %s: blob %.19s…: %w", ref, b.Digest, explain(err))
		}
	}
	err = c.retry(ctx, "push the manifest of "+ref, func() error {
		s, err := c.open(ctx, r.Context(), transport.PushScope)
		if err != nil {
			return err
		}
		return remote.Put(r, manifest{raw: l.raw, kind: l.image.MediaType}, s.options(ctx)...)
	})
	if err != nil {
		return v1.Hash{}, fmt.Errorf("push manifest %s: %w", ref, explain(err))
	}
	return l.image.Digest, nil
}

// pushBlob uploads one blob, however often the line is cut.
func (c *Client) pushBlob(ctx context.Context, l layout, repo name.Repository, b v1.Descriptor, t *tracker) error {
	skipped := false
	u := &upload{
		blob: b, file: l.blob(b.Digest), chunk: c.chunk,
		notes: notesFor(l.dir, repo, b.Digest, c.log),
		moved: t.at,
	}
	restarts := 0
	err := c.persist(ctx, "push blob "+b.Digest.String(), func() (bool, error) {
		s, err := c.open(ctx, repo, transport.PushScope)
		if err != nil {
			return false, err
		}
		u.s = s
		before := u.at
		skipped, err = u.run(ctx)
		var unknown unknownUploadError
		if errors.As(err, &unknown) {
			// Begun anew at most twice: a registry that forgets every time would keep us for ever.
			if restarts++; restarts > 2 {
				return false, finalError{err}
			}
			return true, errors.New(err.Error())
		}
		return u.at > before, err
	})
	if err != nil {
		if u.at > 0 {
			return fmt.Errorf("stopped after %d of %d bytes, the same command goes on from there: %w", u.at, b.Size, err)
		}
		return err
	}
	t.finish(b.Size, skipped)
	return nil
}
