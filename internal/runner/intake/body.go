package intake

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

// Sizes of the memory that is kept for the next request. A longer body gets its own.
const (
	leastKept = 4 << 10
	mostKept  = 1 << 20
)

// Body is a request's body in memory. That memory serves another request once Done was
// called and every reader is closed: a transport may read on after it has answered.
type Body struct {
	data  []byte
	pool  *pool
	users atomic.Int32
}

// Bytes is the whole body; it must not be used or kept after Done.
func (b *Body) Bytes() []byte { return b.data }

// Done says that the caller of JSON needs the body no more.
func (b *Body) Done() {
	if b.users.Add(-1) == 0 {
		b.pool.put(b.data)
	}
}

// Reader reads parts, of this body or of the caller's own, one behind the other. It must
// be made before Done and be closed; nothing is read of it after that.
func (b *Body) Reader(parts ...[]byte) io.ReadCloser {
	b.users.Add(1)
	return &reader{body: b, parts: slices.Clone(parts)} // which Read eats up
}

// reader reads parts of a body. Close may come while another goroutine reads.
type reader struct {
	mu    sync.Mutex
	body  *Body // nil once closed
	parts [][]byte
}

// Read reads on.
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	n := 0
	for n < len(p) && len(r.parts) > 0 {
		part := copy(p[n:], r.parts[0])
		n += part
		if r.parts[0] = r.parts[0][part:]; len(r.parts[0]) == 0 {
			r.parts = r.parts[1:]
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close ends the reading.
func (r *reader) Close() error {
	r.mu.Lock()
	body := r.body
	r.body, r.parts = nil, nil
	r.mu.Unlock()
	if body != nil {
		body.Done()
	}
	return nil
}

// pool keeps the memory of bodies.
type pool struct{ kept sync.Pool }

// get returns empty memory with room for length bytes, or for a part of them: what a
// client merely announces is not believed beyond mostKept.
func (p *pool) get(length int64) []byte {
	want := int(min(max(length, leastKept), mostKept))
	if old, ok := p.kept.Get().(*[]byte); ok && cap(*old) >= want {
		return (*old)[:0]
	}
	return make([]byte, 0, want)
}

func (p *pool) put(data []byte) {
	if c := cap(data); c >= leastKept && c <= mostKept {
		data = data[:0]
		p.kept.Put(&data)
	}
}

// read reads everything from r, of which length bytes were announced; -1 is unknown.
func (p *pool) read(r io.Reader, length int64) ([]byte, error) {
	data := p.get(length)
	for {
		if len(data) == cap(data) {
			data = slices.Grow(data, cap(data)) // twice as much
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF:
			return data, nil
		case err != nil:
			p.put(data)
			return nil, err
		}
	}
}
