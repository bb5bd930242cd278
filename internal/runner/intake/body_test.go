package intake_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kaito.sh/kaito/internal/runner/intake"
)

// take reads a body of n letters.
func take(t *testing.T, in *intake.Reader, letter string, n int) *intake.Body {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat(letter, n)))
	body, no := in.JSON(httptest.NewRecorder(), r)
	if no != nil {
		t.Fatal(no)
	}
	return body
}

func TestBodyOutlivesItsHandlerWhileItIsRead(t *testing.T) {
	t.Parallel()
	in := intake.New(1<<20, time.Now)
	const n = 100_000
	first := take(t, in, "a", n)
	reader := first.Reader([]byte("<"), first.Bytes(), []byte(">"))
	again := first.Reader(first.Bytes())
	first.Done()
	for range 10 { // would be written into the memory of the first
		take(t, in, "b", n).Done()
	}
	got, err := io.ReadAll(reader)
	if err != nil || string(got) != "<"+strings.Repeat("a", n)+">" {
		t.Errorf("%v, %d bytes that begin %.20q", err, len(got), got)
	}
	reader.Close()
	reader.Close() // closing twice counts once
	if got, err := io.ReadAll(again); err != nil || !bytes.Equal(got, bytes.Repeat([]byte("a"), n)) {
		t.Errorf("the second reader: %v, %d bytes", err, len(got))
	}
	again.Close()
	if _, err := again.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("read after close: %v", err)
	}
}

func TestBodiesOfAllLengthsArriveWhole(t *testing.T) {
	t.Parallel()
	in := intake.New(8<<20, time.Now)
	var wait sync.WaitGroup
	for i, n := range []int{0, 1, 4095, 4096, 4097, 100_000, 1 << 20, 1<<20 + 1, 5 << 20} {
		for _, announced := range []int64{int64(n), -1} {
			wait.Go(func() {
				want := strings.Repeat(string(rune('a'+i)), n)
				r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(want)))
				r.ContentLength = announced
				for range 5 {
					r.Body = io.NopCloser(strings.NewReader(want))
					body, no := in.JSON(httptest.NewRecorder(), r)
					if no != nil {
						t.Error(no)
						return
					}
					if string(body.Bytes()) != want {
						t.Errorf("%d bytes announced as %d are not the same", n, announced)
					}
					body.Done()
				}
			})
		}
	}
	wait.Wait()
}
