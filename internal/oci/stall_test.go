package oci

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A registry that stands still, once before it reads and once before it answers.
func TestAnUploadThatStandsStillIsBegunAgain(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(*http.Request){
		"before it reads":   func(*http.Request) {},
		"before it answers": func(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner, _ := newFaulty(t)
			var hung atomic.Bool
			over := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPatch && hung.CompareAndSwap(false, true) {
					read(r)
					<-over
					return
				}
				inner.ServeHTTP(w, r)
			}))
			t.Cleanup(func() {
				close(over)
				server.Close()
			})
			var heard []string
			c := New(Options{
				Sleep: (&naps{}).sleep, Chunk: 1 << 20, Stall: 300 * time.Millisecond,
				Notice: func(s string) { heard = append(heard, s) },
			})
			if _, err := c.Push(t.Context(), testLayout(t, 8<<20), strings.TrimPrefix(server.URL, "http://")+"/m:1"); err != nil {
				t.Fatal(err)
			}
			if said := strings.Join(heard, "\n"); !hung.Load() || !strings.Contains(said, "gave no answer for too long (300ms)") {
				t.Errorf("heard %s", said)
			}
		})
	}
}
