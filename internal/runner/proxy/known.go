package proxy

import (
	"bytes"
	"io"
	"net/http"
	"sync"

	"kaito.sh/kaito/internal/runner/intake"
)

// short is the length up to which a body is copied: net/http sends it in one piece with
// the headers, if its type is that of a bytes.Reader, which spares the engine one wake-up.
const short = 8 << 10

// known is the body of a request that was read and understood: the transport gets a
// reader of its own each time that it needs one.
type known struct {
	order
	body   *intake.Body
	length int
	short  []byte // all parts in one piece, where they are short
}

func know(body *intake.Body, o order) *known {
	k := &known{order: o, body: body}
	for _, p := range o.parts {
		k.length += len(p)
	}
	if k.length <= short {
		k.short = bytes.Join(o.parts, nil)
	}
	return k
}

// again reads the body from its beginning.
func (k *known) again() io.ReadCloser {
	if k.length <= short {
		return io.NopCloser(bytes.NewReader(k.short))
	}
	return k.body.Reader(k.parts...)
}

// Read is never used: Rewrite gives the transport a reader.
func (k *known) Read([]byte) (int, error) { return 0, http.ErrBodyNotAllowed }

// Close does nothing; the handler ends the body.
func (k *known) Close() error { return nil }

// buffers are those through which answers are copied.
type buffers struct{ kept sync.Pool }

// Get returns one.
func (b *buffers) Get() []byte {
	if old, ok := b.kept.Get().(*[]byte); ok {
		return *old
	}
	return make([]byte, 32<<10)
}

// Put keeps one for the next answer.
func (b *buffers) Put(buffer []byte) { b.kept.Put(&buffer) }
