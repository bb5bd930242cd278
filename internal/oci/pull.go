package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Pull downloads an image into an OCI image layout. Blobs that are there are
// skipped, a blob that was cut is continued, and no byte is believed before its
// digest was compared.
func (c *Client) Pull(ctx context.Context, ref, dir string) (v1.Hash, error) {
	raw, image, err := c.Manifest(ctx, ref)
	if err != nil {
		return v1.Hash{}, err
	}
	if image.MediaType != types.OCIManifestSchema1 && image.MediaType != types.DockerManifestSchema2 {
		return v1.Hash{}, fmt.Errorf("pull %s: it is %s, not one image", ref, image.MediaType)
	}
	l := layout{dir: dir, image: image, raw: raw}
	if err := json.Unmarshal(raw, &l.manifest); err != nil {
		return v1.Hash{}, fmt.Errorf("read manifest of %s: %w", ref, err)
	}
	r, err := c.parse(ref)
	if err != nil {
		return v1.Hash{}, err
	}
	s, err := c.reach(ctx, r.Context(), transport.PullScope)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("pull %s: %w", ref, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return v1.Hash{}, fmt.Errorf("create image layout: %w", err)
	}
	t := newTracker(c.report, l.blobs())
	for _, b := range l.blobs() {
		if err := c.pullBlob(ctx, l, s, b, t); err != nil {
			return v1.Hash{}, fmt.Errorf("pull %s: blob %s: %w", ref, short(b.Digest), explain(err))
		}
	}
	return image.Digest, l.write()
}

// write finishes the layout. The index comes last: a layout without one is not finished.
func (l layout) write() error {
	index, err := json.MarshalIndent(v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex,
		Manifests: []v1.Descriptor{{MediaType: l.image.MediaType, Digest: l.image.Digest, Size: int64(len(l.raw))}},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	for _, f := range []struct {
		path string
		raw  []byte
	}{
		{l.blob(l.image.Digest), l.raw},
		{filepath.Join(l.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{filepath.Join(l.dir, "index.json"), index},
	} {
		if err := os.WriteFile(f.path, f.raw, 0o644); err != nil {
			return fmt.Errorf("write image layout: %w", err)
		}
	}
	return nil
}

// download is one blob on its way to disk.
type download struct {
	s     *session
	blob  v1.Descriptor
	part  *os.File
	sum   hash.Hash
	at    int64
	moved func(at int64)
}

// pullBlob downloads one blob, however often the line is cut.
func (c *Client) pullBlob(ctx context.Context, l layout, s *session, b v1.Descriptor, t *tracker) error {
	target := l.blob(b.Digest)
	// Only whole and verified blobs ever get this name.
	if info, err := os.Stat(target); err == nil && info.Size() == b.Size {
		t.finish(b.Size, b.Size)
		return nil
	}
	d, err := openPart(target+".partial", b, t.at)
	if err != nil {
		return err
	}
	defer func() { _ = d.part.Close() }()
	d.s = s
	had := d.at
	err = c.persist(ctx, "pull blob "+short(b.Digest), func() (bool, error) {
		before := d.at
		err := d.run(ctx)
		return d.at > before, err
	})
	if err != nil {
		return err
	}
	if err := d.part.Close(); err != nil {
		return fmt.Errorf("write blob: %w", err)
	}
	if err := os.Rename(d.part.Name(), target); err != nil {
		return fmt.Errorf("name blob: %w", err)
	}
	t.finish(b.Size, had)
	return nil
}

// openPart opens what an earlier run left and hashes it.
func openPart(path string, b v1.Descriptor, moved func(int64)) (*download, error) {
	part, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create blob: %w", err)
	}
	d := &download{blob: b, part: part, sum: sha256.New(), moved: moved}
	d.at, err = io.Copy(d.sum, part)
	if err == nil && d.at > b.Size {
		err = d.reset()
	}
	if err != nil {
		_ = part.Close()
		return nil, fmt.Errorf("read blob %q: %w", path, err)
	}
	return d, nil
}

// reset begins the blob anew.
func (d *download) reset() error {
	d.sum.Reset()
	d.at = 0
	_, err := d.part.Seek(0, io.SeekStart)
	return errors.Join(err, d.part.Truncate(0))
}

// run asks for what is missing and checks the digest at the end.
func (d *download) run(ctx context.Context) error {
	if d.at < d.blob.Size {
		if err := d.fetch(ctx); err != nil {
			return err
		}
	}
	if d.at < d.blob.Size {
		return fmt.Errorf("registry sent %d of %d bytes: %w", d.at, d.blob.Size, io.ErrUnexpectedEOF)
	}
	if got := hex.EncodeToString(d.sum.Sum(nil)); got != d.blob.Digest.Hex {
		if err := d.reset(); err != nil {
			return finalError{err}
		}
		return finalError{fmt.Errorf("content has the digest sha256:%s, the manifest says %s; it was thrown away, pull again", got, d.blob.Digest)}
	}
	return nil
}

func (d *download) fetch(ctx context.Context) error {
	// Otherwise the transport could unpack on the way what must arrive as it is stored.
	head := http.Header{"Accept-Encoding": {"identity"}}
	if d.at > 0 {
		head.Set("Range", fmt.Sprintf("bytes=%d-%d", d.at, d.blob.Size-1))
	}
	resp, err := d.s.send(ctx, request{method: http.MethodGet, to: d.s.base + "/blobs/" + d.blob.Digest.String(), head: head})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := check(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		return err
	}
	// A registry may answer a range with everything, or with another range.
	if d.at > 0 && !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.at)) {
		if resp.StatusCode == http.StatusPartialContent {
			return fmt.Errorf("registry sent the range %q", resp.Header.Get("Content-Range"))
		}
		if err := d.reset(); err != nil {
			return finalError{err}
		}
	}
	_, err = io.Copy(d, io.LimitReader(resp.Body, d.blob.Size-d.at))
	return err //nolint:wrapcheck // the caller says which blob
}

// Write keeps what arrived: file, digest and progress move together.
func (d *download) Write(b []byte) (int, error) {
	n, err := d.part.Write(b)
	d.sum.Write(b[:n])
	d.at += int64(n)
	d.moved(d.at)
	if err != nil {
		return n, finalError{fmt.Errorf("write blob: %w", err)}
	}
	return n, nil
}
