package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Remote is an image in a registry, opened so that its blobs can be read.
type Remote struct {
	// Name is the reference by digest.
	Name string
	// Manifest is checked against that digest.
	Manifest v1.Manifest
	s        *session
}

// Open finds the image that ref names; of one for several platforms that of linux
// on arch. Where several credentials match, it tries them in the order of the
// kubelet, until one is let in.
func (c *Client) Open(ctx context.Context, ref, arch string) (*Remote, error) {
	r, err := c.parse(ref)
	if err != nil {
		return nil, finalError{err}
	}
	keys, err := c.candidates(ctx, r.Context())
	if err != nil {
		return nil, fmt.Errorf("find credentials for %s: %w", ref, err)
	}
	for _, key := range keys {
		var out *Remote
		out, err = c.openWith(ctx, r, key, arch)
		var access *AccessError
		if err == nil || !errors.As(explain(err), &access) {
			return out, wrapRead(ref, err)
		}
	}
	return nil, wrapRead(ref, err)
}

func wrapRead(ref string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read %s: %w", ref, explain(err))
}

// candidates are all credentials that match, at least anonymous.
func (c *Client) candidates(ctx context.Context, repo name.Repository) ([]authn.Authenticator, error) {
	if ring, ok := c.keychain.(Rings); ok {
		return ring.candidates(repo), nil
	}
	auth, err := authn.Resolve(ctx, c.keychain, repo)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says for what
	}
	return []authn.Authenticator{auth}, nil
}

// openWith opens an image with one key. The caller tries again, not this.
func (c *Client) openWith(ctx context.Context, r name.Reference, key authn.Authenticator, arch string) (*Remote, error) {
	s, err := c.connect(ctx, r.Context(), transport.PullScope, key)
	if err != nil {
		return nil, err
	}
	got, err := remote.Get(r, s.options(ctx)...)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller names the reference
	}
	if got.MediaType.IsIndex() {
		one, err := pick(got.Manifest, arch)
		if err != nil {
			return nil, err
		}
		if got, err = remote.Get(r.Context().Digest(one.String()), s.options(ctx)...); err != nil {
			return nil, err //nolint:wrapcheck // the caller names the reference
		}
	}
	if got.MediaType != types.OCIManifestSchema1 && got.MediaType != types.DockerManifestSchema2 {
		return nil, finalError{fmt.Errorf("it is %s, not an image", got.MediaType)}
	}
	out := &Remote{Name: r.Context().Digest(got.Digest.String()).String(), s: s}
	if err := json.Unmarshal(got.Manifest, &out.Manifest); err != nil {
		return nil, finalError{fmt.Errorf("read manifest: %w", err)}
	}
	return out, nil
}

// pick finds the image for a platform in an index.
func pick(raw []byte, arch string) (v1.Hash, error) {
	var index v1.IndexManifest
	if err := json.Unmarshal(raw, &index); err != nil {
		return v1.Hash{}, finalError{fmt.Errorf("read index: %w", err)}
	}
	for _, m := range index.Manifests {
		if m.MediaType.IsImage() && (m.Platform == nil || m.Platform.OS == "linux" && m.Platform.Architecture == arch) {
			return m.Digest, nil
		}
	}
	return v1.Hash{}, finalError{fmt.Errorf("it has no image for linux/%s", arch)}
}

// BusyError says that a registry asks us to wait.
type BusyError struct {
	// After is how long, 0 where it does not say.
	After time.Duration
	err   error
}

// Error is the registry's answer.
func (e *BusyError) Error() string { return e.err.Error() }

// Unwrap is the answer.
func (e *BusyError) Unwrap() error { return e.err }

// Blob asks for the bytes of a blob from one on. Nothing is checked: that is up to
// whoever reads to the end.
func (r *Remote) Blob(ctx context.Context, blob v1.Descriptor, from int64) (io.ReadCloser, error) {
	// Otherwise the transport could unpack on the way what must arrive as it is stored.
	head := http.Header{"Accept-Encoding": {"identity"}}
	if from > 0 {
		head.Set("Range", fmt.Sprintf("bytes=%d-%d", from, blob.Size-1)) // not every registry knows a range without an end
	}
	resp, err := r.s.send(ctx, request{method: http.MethodGet, to: r.s.base + "/blobs/" + blob.Digest.String(), head: head})
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", short(blob.Digest), explain(err))
	}
	if err := check(resp, http.StatusOK, http.StatusPartialContent); err != nil {
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
			seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
			err = &BusyError{After: time.Duration(max(seconds, 0)) * time.Second, err: err}
		}
		return nil, fmt.Errorf("read blob %s: %w", short(blob.Digest), explain(err))
	}
	if err := skipTo(resp, from); err != nil {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("read blob %s: %w", short(blob.Digest), err)
	}
	return resp.Body, nil
}

// skipTo makes the body begin where it was asked to. A registry may answer a range
// with everything, or with another range.
func skipTo(resp *http.Response, from int64) error {
	switch {
	case from == 0:
		return nil
	case resp.StatusCode == http.StatusPartialContent:
		if got := resp.Header.Get("Content-Range"); !strings.HasPrefix(got, fmt.Sprintf("bytes %d-", from)) {
			return fmt.Errorf("registry sent the range %q", got)
		}
		return nil
	default:
		_, err := io.CopyN(io.Discard, resp.Body, from)
		return err //nolint:wrapcheck // the caller says which blob
	}
}
