package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// payload is a part of the blob that tells its progress while it is sent.
type payload struct {
	*io.SectionReader
	mu   sync.Mutex
	from int64
	sent func(at int64)
}

func (u *upload) body(file io.ReaderAt, from, n int64) *payload {
	return &payload{SectionReader: io.NewSectionReader(file, from, n), from: from, sent: u.moved}
}

// Read counts what goes out.
func (p *payload) Read(b []byte) (int, error) {
	n, err := p.SectionReader.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from += int64(n)
	p.sent(p.from)
	return n, err //nolint:wrapcheck // io.EOF must pass as it is
}

// quiet ends the reports: a transport may go on reading after it has failed.
func (p *payload) quiet() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = func(int64) {}
}

// request is what one request of ours can have.
type request struct {
	method, to string
	body       *payload
	head       http.Header
}

// send makes a request. A body goes to the address given and nowhere else: the
// client follows redirects of requests without one only.
func (s *session) send(ctx context.Context, q request) (*http.Response, error) {
	var body io.Reader
	if q.body != nil {
		body = q.body
	}
	req, err := http.NewRequestWithContext(ctx, q.method, q.to, body)
	if err != nil {
		return nil, finalError{fmt.Errorf("ask registry: %w", err)}
	}
	for k, v := range q.head {
		req.Header[k] = v
	}
	if q.body != nil {
		defer q.body.quiet()
		if req.ContentLength = q.body.Size(); req.ContentLength == 0 {
			req.Body = http.NoBody // otherwise a length of 0 means that it is not known
		}
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err //nolint:wrapcheck // url.Error names method and address
	}
	return resp, nil
}

// location is where an upload goes on. A registry may send us to an object
// store, but not to an address inside of our network that is not its own.
func location(resp *http.Response) (string, error) {
	u, err := resp.Location()
	if err != nil {
		return "", finalError{fmt.Errorf("registry named no place to upload to: %w", err)}
	}
	if u.Hostname() == resp.Request.URL.Hostname() {
		return u.String(), nil
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if ip = ip.Unmap(); ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() {
			return "", finalError{fmt.Errorf("registry %s sends uploads to the private address %s", resp.Request.URL.Host, u.Host)}
		}
	}
	return u.String(), nil
}

// check turns an unexpected status into an error with the registry's own words.
func check(resp *http.Response, good ...int) error {
	return transport.CheckError(resp, good...) //nolint:wrapcheck // it names request and answer
}

func statusIs(err error, code int) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == code
}

// refusesUs are answers about who we are, not about the upload.
func refusesUs(code int) bool {
	return code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusTooManyRequests
}

// drain lets the connection be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16)
	_ = resp.Body.Close()
}
