// Package intake reads request bodies: JSON only, bounded in size and in time.
package intake

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"kaito.sh/kaito/internal/runner/refusal"
)

// Patience is how long a body may take to arrive, so that a client that stalls
// does not hold a place at the engine.
const Patience = 60 * time.Second

// Reader reads the bodies of one server. It is safe for concurrent use.
type Reader struct {
	limit int64 // the largest body in bytes
	now   func() time.Time

	pool pool
}

// New makes a reader of bodies of at most limit bytes.
func New(limit int64, now func() time.Time) *Reader { return &Reader{limit: limit, now: now} }

// IsJSON says whether the body claims to be JSON; a body that claims nothing is taken for it.
func IsJSON(h http.Header) bool {
	got := h.Get("Content-Type")
	if got == "" {
		return true
	}
	kind, _, err := mime.ParseMediaType(got)
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// JSON reads the whole body, or says why it is refused. A client that has gone is
// refused too, though nobody will read it. The caller calls Done on the body.
func (in *Reader) JSON(w http.ResponseWriter, r *http.Request) (*Body, *refusal.Refusal) {
	if !IsJSON(r.Header) {
		return nil, refusal.MediaType(r.Header.Get("Content-Type"))
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, refusal.MediaType("Content-Encoding: " + e)
	}
	if no := in.Bound(w, r); no != nil {
		return nil, no
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(in.now().Add(Patience)) // a connection without deadlines is a test's
	data, err := in.pool.read(r.Body, r.ContentLength)
	if err != nil {
		// The deadline stays: to end the request, the server reads on in what is left of
		// the body, and would wait for ever for a client that sends nothing more.
		return nil, in.Refusal(err)
	}
	_ = control.SetReadDeadline(time.Time{})
	body := &Body{data: data, pool: &in.pool}
	body.users.Store(1)
	return body, nil
}

// Bound limits the body of r, and refuses at once where its length is known.
func (in *Reader) Bound(w http.ResponseWriter, r *http.Request) *refusal.Refusal {
	if r.ContentLength > in.limit {
		return refusal.TooLarge(in.limit)
	}
	r.Body = http.MaxBytesReader(w, r.Body, in.limit)
	return nil
}

// Refusal turns what went wrong while a body was read into an answer.
func (in *Reader) Refusal(err error) *refusal.Refusal {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return refusal.TooLarge(in.limit)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return refusal.Slow()
	default:
		return refusal.BadRequest("", "The request body could not be read: "+err.Error())
	}
}
