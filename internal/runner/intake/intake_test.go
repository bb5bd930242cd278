package intake_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"kaito.sh/kaito/internal/runner/intake"
	"kaito.sh/kaito/internal/runner/refusal"
)

// echo answers with the body, or with why it was refused.
func echo(in *intake.Reader) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, no := in.JSON(w, r)
		if no != nil {
			refusal.Detail(w, no)
			return
		}
		defer body.Done()
		_, _ = w.Write(body.Bytes())
	})
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(echo(intake.New(10, time.Now)))
	t.Cleanup(server.Close)
	for name, tc := range map[string]struct {
		body io.Reader
		code int
	}{
		"just enough":                       {strings.NewReader(`{"a":1234}`), 200},
		"one byte more":                     {strings.NewReader(`{"a":12345}`), 413},
		"one byte more of a length unknown": {io.MultiReader(strings.NewReader(`{"a":12345}`)), 413},
	} {
		resp, err := http.Post(server.URL, "application/vnd.x+json", tc.body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.code {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, tc.code)
		}
	}
}

func TestBodyThatStallsIsGivenUp(t *testing.T) {
	t.Parallel()
	past := func() time.Time { return time.Now().Add(200*time.Millisecond - intake.Patience) }
	server := httptest.NewServer(echo(intake.New(100, past)))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{\"prom"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
		t.Errorf("%d, closes %v", resp.StatusCode, resp.Close)
	}
	// The client holds its end open and still sends nothing: the server hangs up.
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection is not closed: %v", err)
	}
}
