package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// DefaultStall is how long an upload may stand still: no byte goes out, or everything has
// gone out and no answer comes. A registry reads a blob once more before it commits it.
const DefaultStall = 3 * time.Minute

// errStalled ends a request of which nothing is heard any more; another may fare better.
var errStalled = errors.New("the registry took no byte and gave no answer for too long")

// send makes a request of an upload, which ends when it stands still.
func (u *upload) send(ctx context.Context, method, to string, body *payload, head http.Header) (*http.Response, error) {
	asked, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(u.stall, func() { cancel(errStalled) })
	defer watch.Stop()
	if body != nil {
		moved := body.sent
		body.sent = func(at int64) {
			watch.Reset(u.stall)
			moved(at)
		}
	}
	resp, err := u.s.send(asked, request{method: method, to: to, body: body, head: head})
	switch {
	case err != nil && errors.Is(context.Cause(asked), errStalled):
		return nil, fmt.Errorf("%s %s: %w (%s)", method, u.s.base, errStalled, u.stall)
	case err != nil:
		cancel(nil)
		return nil, err
	}
	resp.Body = &ending{ReadCloser: resp.Body, end: func() { cancel(nil) }}
	return resp, nil
}

// ending is a body with which its request ends.
type ending struct {
	io.ReadCloser
	end func()
}

// Close ends the request.
func (e *ending) Close() error {
	defer e.end()
	return e.ReadCloser.Close() //nolint:wrapcheck // it is the body's own
}
