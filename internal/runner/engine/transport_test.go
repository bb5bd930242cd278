package engine_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"kaito.sh/kaito/internal/runner/engine"
)

// counted is an engine that notes how many connections and requests it got.
type counted struct {
	mu                    sync.Mutex
	connections, requests int
	answer                http.HandlerFunc
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.requests++
	c.mu.Unlock()
	_, _ = io.Copy(io.Discard, r.Body)
	c.answer(w, r)
}

// send sends n requests, one after the other, through one transport, and stops at an error.
func (c *counted) send(t *testing.T, n int, change func(*http.Request)) error {
	t.Helper()
	server := httptest.NewUnstartedServer(c)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			c.mu.Lock()
			c.connections++
			c.mu.Unlock()
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client := &http.Client{Transport: engine.Transport(8)}
	for range n {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	return nil
}

func TestConnectionsAreKeptForWhatCanBeSentAgain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change      func(*http.Request)
		connections int
	}{
		"whole bodies share one":             {func(*http.Request) {}, 1},
		"a stream has one of its own":        {func(r *http.Request) { r.Close = true }, 3},
		"a body that passes by has its own":  {func(r *http.Request) { r.GetBody = nil }, 3},
		"a request without a body shares it": {func(r *http.Request) { r.Body, r.GetBody, r.ContentLength = nil, nil, 0 }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &counted{answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }}
			if err := c.send(t, 3, tc.change); err != nil {
				t.Fatal(err)
			}
			if c.connections != tc.connections || c.requests != 3 {
				t.Errorf("%d connections for %d requests, want %d for 3", c.connections, c.requests, tc.connections)
			}
		})
	}
}

func TestRequestThatTheEngineHasSeenIsNotSentTwice(t *testing.T) {
	t.Parallel()
	c := &counted{}
	c.answer = func(w http.ResponseWriter, _ *http.Request) {
		if c.requests == 1 {
			_, _ = io.WriteString(w, "ok")
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Close() // as an engine that ends at this moment
	}
	if err := c.send(t, 2, func(*http.Request) {}); err == nil {
		t.Error("an answer came from nowhere")
	}
	if c.requests != 2 || c.connections != 1 {
		t.Errorf("%d requests on %d connections, want 2 on 1", c.requests, c.connections)
	}
}
