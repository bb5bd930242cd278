package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	image := Image{Manifest: l.raw, MediaType: l.image.MediaType}
	for _, b := range l.blobs() {
		image.Blobs = append(image.Blobs, Blob{Descriptor: b, Open: func() (Content, error) { return l.open(b) }})
	}
	return c.push(ctx, image, ref, dir)
}

// open opens a blob of the layout.
func (l layout) open(b v1.Descriptor) (Content, error) {
	file, err := os.Open(l.blob(b.Digest))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the file
	}
	if info, err := file.Stat(); err != nil || info.Size() != b.Size {
		_ = file.Close()
		return nil, fmt.Errorf("blob %s is not the %d bytes that the manifest says; package the model again", b.Digest, b.Size)
	}
	return file, nil
}

// Image is an image that is pushed from wherever its bytes are.
type Image struct {
	// Manifest is the manifest, byte for byte, and MediaType its type.
	Manifest  []byte
	MediaType types.MediaType
	// Blobs are the configuration and the layers, each once.
	Blobs []Blob
}

// Digest is that of the manifest.
func (i Image) Digest() v1.Hash {
	sum := sha256.Sum256(i.Manifest)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// Blob is one blob of an Image.
type Blob struct {
	v1.Descriptor
	// Open is called for every attempt, and not at all where the registry has the blob.
	Open func() (Content, error)
}

// Content are the bytes of a blob.
type Content interface {
	io.ReaderAt
	io.Closer
}

// PushImage uploads an image and returns its digest. It is Push without a folder: an
// upload that was cut is continued as long as the program runs.
func (c *Client) PushImage(ctx context.Context, image Image, ref string) (v1.Hash, error) {
	return c.push(ctx, image, ref, "")
}

// push uploads blobs and then the manifest. notes is the folder for notes, or empty.
func (c *Client) push(ctx context.Context, image Image, ref, notes string) (v1.Hash, error) {
	r, err := c.parse(ref)
	if err != nil {
		return v1.Hash{}, err
	}
	s, err := c.reach(ctx, r.Context(), transport.PushScope)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("push %s: %w", ref, err)
	}
	var all []v1.Descriptor
	for _, b := range image.Blobs {
		all = append(all, b.Descriptor)
	}
	p := &pusher{c: c, notes: notes, s: s, t: newTracker(c.report, all)}
	for _, b := range image.Blobs {
		if err := p.blob(ctx, b); err != nil {
			return v1.Hash{}, fmt.Errorf("push %s: %w", ref, explain(err))
		}
	}
	if err := p.manifest(ctx, image, r); err != nil {
		return v1.Hash{}, fmt.Errorf("push manifest %s: %w", ref, explain(err))
	}
	return image.Digest(), nil
}

// pusher moves the blobs of one image to one repository.
type pusher struct {
	c     *Client
	notes string
	s     *session
	t     *tracker
}

// manifest names the image. An answer that was lost does not make a second one of it:
// whoever watches the tag sees it move once.
func (p *pusher) manifest(ctx context.Context, image Image, ref name.Reference) error {
	tried := false
	return p.c.retry(ctx, "push manifest", func() error {
		if tried {
			there, err := p.names(ctx, ref, image.Digest())
			if there || err != nil {
				return err
			}
		}
		tried = true
		return remote.Put(ref, manifest{raw: image.Manifest, kind: image.MediaType}, p.s.options(ctx)...)
	})
}

// names says whether a reference points at a digest already. Who may push may not be
// allowed to look, and is then no wiser; any other trouble is an error, because it says
// nothing of what became of the push.
func (p *pusher) names(ctx context.Context, ref name.Reference, digest v1.Hash) (bool, error) {
	got, err := remote.Head(ref, p.s.options(ctx)...)
	var answer *transport.Error
	switch {
	case err == nil:
		return got.Digest == digest, nil
	case errors.As(err, &answer) && (refused(answer.StatusCode) || answer.StatusCode == http.StatusNotFound):
		return false, nil
	default:
		return false, err //nolint:wrapcheck // the caller names the reference
	}
}

// blob uploads one blob, however often the line is cut.
func (p *pusher) blob(ctx context.Context, b Blob) error {
	restarts := 0
	u := &upload{
		s: p.s, blob: b.Descriptor, open: b.Open, chunk: p.c.chunk, stall: p.c.stall, moved: p.t.at,
		notes: notesFor(p.notes, p.s.repo, b.Digest, p.c.notice),
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
	if err != nil && u.at > 0 && p.notes != "" {
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
