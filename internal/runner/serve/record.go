package serve

import (
	"errors"
	"net/http"
	"time"

	"kaito.sh/kaito/internal/runner/gate"
	"kaito.sh/kaito/internal/runner/metrics"
	"kaito.sh/kaito/internal/runner/phase"
	"kaito.sh/kaito/internal/runner/refusal"
)

// clientGone is the status, as nginx counts it, of a request whose client left
// before an answer began.
const clientGone = 499

// record notes what a handler answered and when.
type record struct {
	http.ResponseWriter
	now      func() time.Time
	stopping func() bool
	code     int
	first    time.Time
}

// WriteHeader notes the status; 1xx are not yet the answer. An answer of a pod that
// stops tells the client to send its next request elsewhere, also where the request
// came before the stop.
func (r *record) WriteHeader(code int) {
	if r.code == 0 && code >= http.StatusOK {
		r.code = code
		if r.stopping() {
			r.Header().Set("Connection", "close")
		}
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write notes the first byte.
func (r *record) Write(p []byte) (int, error) {
	if r.code == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if r.first.IsZero() {
		r.first = r.now()
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach flushing and deadlines.
func (r *record) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// counted counts every answer of next, also of one that ends in a panic, which is how
// a broken stream ends.
func (s *server) counted(next http.Handler) http.Handler {
	now, m := s.Now, s.metrics
	stopping := func() bool { return s.timeline.Current() == phase.Draining }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := now()
		rec := &record{ResponseWriter: w, now: now, stopping: stopping}
		defer func() {
			code, first := rec.code, -1.0
			switch {
			case code == 0 && r.Context().Err() != nil:
				code = clientGone
			case code == 0:
				code = http.StatusOK
			}
			if !rec.first.IsZero() {
				first = rec.first.Sub(start).Seconds()
			}
			m.Answered(r.URL.Path, code, first, now().Sub(start).Seconds())
		}()
		next.ServeHTTP(rec, r)
	})
}

// door admits requests to the engine.
type door struct {
	gate     *gate.Gate
	limit    int
	timeline *phase.Timeline
	metrics  *metrics.Metrics
}

// ready refuses requests, in the given shape, while the engine cannot answer.
func (d *door) ready(shape refusal.Shape, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.timeline.Served() {
			d.metrics.Rejected(metrics.NotReady)
			shape(w, refusal.NotReady(string(d.timeline.Current())))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// admit is ready with a place at the engine: it refuses one request too many, and
// every request once the pod takes no more.
func (d *door) admit(shape refusal.Shape, next http.Handler) http.Handler {
	return d.ready(shape, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, err := d.gate.Enter()
		switch {
		case err == nil:
			defer leave()
			next.ServeHTTP(w, r)
		case errors.Is(err, gate.ErrFull):
			d.metrics.Rejected(metrics.Overload)
			shape(w, refusal.Overload(d.limit))
		default:
			d.metrics.Rejected(metrics.Stopping)
			shape(w, refusal.Stopping())
		}
	}))
}
