package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	s, err := c.reach(ctx, r.Context(), transport.PushScope)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("push %s: %w", ref, err)
	}
	p := &pusher{c: c, l: l, s: s, t: newTracker(c.report, l.blobs())}
	for _, b := range l.blobs() {
		if err := p.blob(ctx, b); err != nil {
			return v1.Hash{}, fmt.Errorf("push %s: %w", ref, explain(err))
		}
	}
	err = c.retry(ctx, "push manifest", func() error {
		return remote.Put(r, manifest{raw: l.raw, kind: l.image.MediaType}, p.s.options(ctx)...)
	})
	if err != nil {
		return v1.Hash{}, fmt.Errorf("push manifest %s: %w", ref, explain(err))
	}
	return l.image.Digest, nil
}

// pusher moves the blobs of one layout to one repository.
type pusher struct {
	c *Client
	l layout
	s *session
	t *tracker
}

// blob uploads one blob, however often the line is cut.
func (p *pusher) blob(ctx context.Context, b v1.Descriptor) error {
	restarts := 0
	u := &upload{
		s: p.s, blob: b, file: p.l.blob(b.Digest), chunk: p.c.chunk, moved: p.t.at,
		notes: notesFor(p.l.dir, p.s.repo, b.Digest, p.c.notice),
	}
	err := p.c.persist(ctx, "push blob "+short(b.Digest), func() (bool, error) {
		before := u.at
		err := u.run(ctx)
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
	if err != nil && u.at > 0 {
		return fmt.Errorf("blob %s stopped after %d of %d bytes, the same command goes on from there: %w", short(b.Digest), u.at, b.Size, explain(err))
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", short(b.Digest), explain(err))
	}
	p.t.finish(b.Size, u.had)
	return nil
}

// short is a digest that fits into a sentence.
func short(h v1.Hash) string { return h.Hex[:min(12, len(h.Hex))] }
