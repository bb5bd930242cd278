package proxy

import (
	"io"
	"net/http"
	"sync"

	"kaito.sh/kaito/internal/runner/intake"
)

// known is the body of a request that was read and understood: the transport gets a
// reader of its own each time that it needs one.
type known struct {
	body  *intake.Body
	parts [][]byte
}

// again reads the body from its beginning.
func (k *known) again() io.ReadCloser { return k.body.Reader(k.parts...) }

func (k *known) length() int64 {
	n := 0
	for _, p := range k.parts {
		n += len(p)
	}
	return int64(n)
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
