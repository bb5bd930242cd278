package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// TryPush finds out whether images can be pushed to the repository of a reference: it
// uploads a blob of two bytes, the empty JSON object that is in most registries anyway.
// An upload that is only begun would not do, because some registries refuse at its end.
// No manifest is written and no tag is touched.
func (c *Client) TryPush(ctx context.Context, ref string) error {
	r, err := c.parse(ref)
	if err != nil {
		return finalError{err}
	}
	s, err := c.reach(ctx, r.Context(), transport.PushScope)
	if err != nil {
		return err
	}
	raw := []byte("{}")
	digest, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("hash two bytes: %w", err)
	}
	u := &upload{
		s: s, blob: v1.Descriptor{Digest: digest, Size: size}, chunk: c.chunk, stall: c.stall, moved: func(int64) {},
		notes: notesFor("", r.Context(), digest, c.notice),
	}
	err = c.retry(ctx, "try a push to "+r.Context().Name(), func() error {
		err := u.try(ctx, raw)
		var answer *transport.Error
		if errors.As(err, &answer) && refusal(answer) {
			return finalError{err}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("try a push to %s: %w", r.Context().Name(), explain(err))
	}
	return nil
}

// try uploads a small blob, whether it is there or not.
func (u *upload) try(ctx context.Context, raw []byte) error {
	location, err := u.begin(ctx)
	if err != nil {
		return err
	}
	err = u.commit(ctx, location, u.body(bytes.NewReader(raw), 0, int64(len(raw))))
	if err != nil {
		u.cancel(ctx, location)
	}
	return err
}

// cancel ends an upload; one that cannot be ended ends by itself some day.
func (u *upload) cancel(ctx context.Context, location string) {
	resp, err := u.send(ctx, http.MethodDelete, location, nil, nil)
	if err == nil {
		drain(resp)
	}
}

// Delete removes the image that a reference points at, with all its tags. Not every
// registry lets anybody do that.
func (c *Client) Delete(ctx context.Context, ref string) error {
	r, err := c.parse(ref)
	if err != nil {
		return err
	}
	s, err := c.reach(ctx, r.Context(), transport.DeleteScope)
	if err != nil {
		return err
	}
	got, err := remote.Head(r, s.options(ctx)...)
	var answer *transport.Error
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return nil
	case err != nil:
		return fmt.Errorf("look for %s: %w", ref, explain(err))
	}
	err = s.delete(ctx, got.Digest.String())
	if _, byTag := r.(name.Tag); byTag && (statusIs(err, http.StatusMethodNotAllowed) || statusIs(err, http.StatusBadRequest)) {
		err = s.delete(ctx, r.Identifier()) // some know tags only
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", ref, explain(err))
	}
	return nil
}

// delete removes a manifest.
func (s *session) delete(ctx context.Context, what string) error {
	resp, err := s.send(ctx, request{method: http.MethodDelete, to: s.base + "/manifests/" + url.PathEscape(what)})
	if err != nil {
		return err
	}
	defer func() { _, _ = io.Copy(io.Discard, resp.Body); _ = resp.Body.Close() }()
	return check(resp, http.StatusAccepted, http.StatusOK, http.StatusNoContent, http.StatusNotFound)
}
