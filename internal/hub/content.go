package hub

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Open asks for a file of a commit from a byte on, to its end. Where the hub sends the
// whole file instead, what comes before is passed over.
func (r *Repository) Open(ctx context.Context, commit, name string, from int64) (io.ReadCloser, error) {
	if from == 0 {
		return r.open(ctx, commit, name, 0, "")
	}
	return r.open(ctx, commit, name, from, fmt.Sprintf("bytes=%d-", from))
}

// Range reads at most n bytes of a file of a commit from a byte on: fewer where it ends before.
func (r *Repository) Range(ctx context.Context, commit, name string, from, n int64) ([]byte, error) {
	const tries = 2 // a line that is cut once is no news
	var err error
	for range tries {
		var raw []byte
		if raw, err = r.once(ctx, commit, name, from, n); err == nil || ctx.Err() != nil || !cut(err) {
			return raw, err
		}
	}
	return nil, err
}

func (r *Repository) once(ctx context.Context, commit, name string, from, n int64) ([]byte, error) {
	body, err := r.open(ctx, commit, name, from, fmt.Sprintf("bytes=%d-%d", from, from+n-1))
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(body, n))
	if err != nil {
		return nil, &Error{Kind: Unreachable, Err: err, Message: fmt.Sprintf("%s ended in the middle of %s of %s: %v", r.base.Host, name, r.Repository, err)}
	}
	return raw, nil
}

// open asks for a file and makes sure that what comes begins where it was asked to.
func (r *Repository) open(ctx context.Context, commit, name string, from int64, span string) (io.ReadCloser, error) {
	elements := append(r.elements(), "resolve", commit)
	var headers []string
	if span != "" {
		headers = []string{"Range", span}
	}
	resp, err := r.get(ctx, r.at(append(elements, strings.Split(name, "/")...)...), headers...)
	if err != nil {
		return nil, err
	}
	if from == 0 || resp.StatusCode == http.StatusPartialContent {
		if begin := fmt.Sprintf("bytes %d-", from); from > 0 && !strings.HasPrefix(resp.Header.Get("Content-Range"), begin) {
			_ = resp.Body.Close()
			return nil, r.line(fmt.Errorf("%s answered the range from %d with %q", resp.Request.URL.Host, from, resp.Header.Get("Content-Range")))
		}
		return resp.Body, nil
	}
	// A server may answer a range with everything.
	if _, err := io.CopyN(io.Discard, resp.Body, from); err != nil {
		_ = resp.Body.Close()
		return nil, r.line(fmt.Errorf("pass over %d bytes: %w", from, err))
	}
	return resp.Body, nil
}
