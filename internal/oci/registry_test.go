package oci

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// faulty is go-containerregistry's registry behind a proxy that cuts lines, has
// bad moments, and answers the one question that the registry inside does not:
// how far an upload is.
type faulty struct {
	inner http.Handler

	mu sync.Mutex
	// cuts are the numbers of body bytes after which the next PATCH or GET is cut.
	cuts []int64
	// answers are given instead of the next answers to requests of that method.
	answers map[string][]int
	// silent hides the status of uploads.
	silent bool
	// got counts body bytes that arrived by method, asked the requests.
	got   map[string]int64
	asked map[string]int
	sizes map[string]int64
}

func newFaulty(t *testing.T) (*faulty, string) {
	t.Helper()
	f := &faulty{
		inner:   registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		answers: map[string][]int{}, got: map[string]int64{}, asked: map[string]int{}, sizes: map[string]int64{},
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, strings.TrimPrefix(server.URL, "http://")
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[r.Method]++
	upload := strings.Contains(r.URL.Path, "/blobs/uploads/")
	if codes := f.answers[r.Method]; len(codes) > 0 && r.URL.Path != "/v2/" {
		f.answers[r.Method] = codes[1:]
		http.Error(w, `{"errors":[{"code":"UNKNOWN","message":"a bad moment"}]}`, codes[0])
		return
	}
	switch {
	case r.Method == http.MethodGet && upload:
		f.status(w, r)
	case r.Method == http.MethodPatch:
		f.patch(w, r)
	case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") && len(f.cuts) > 0:
		after := f.cuts[0]
		f.cuts = f.cuts[1:]
		whole := httptest.NewRecorder()
		f.inner.ServeHTTP(whole, r)
		for k, v := range whole.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(whole.Code)
		w.Write(whole.Body.Bytes()[:after])
		panic(http.ErrAbortHandler)
	default:
		f.inner.ServeHTTP(w, r)
	}
}

// status is what the protocol asks of GET on an upload.
func (f *faulty) status(w http.ResponseWriter, r *http.Request) {
	size, ok := f.sizes[path.Base(r.URL.Path)]
	if f.silent || !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Location", r.URL.Path)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(size-1, 0)))
	w.WriteHeader(http.StatusNoContent)
}

// patch hands on what arrived before the cut, as a registry that writes as it reads.
func (f *faulty) patch(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	cut := len(f.cuts) > 0
	if cut {
		body = body[:f.cuts[0]]
		f.cuts = f.cuts[1:]
	}
	var start, end int64
	fmt.Sscanf(r.Header.Get("Content-Range"), "%d-%d", &start, &end)
	r = r.Clone(r.Context())
	r.Header.Set("Content-Range", fmt.Sprintf("%d-%d", start, start+int64(len(body))-1))
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer := httptest.NewRecorder()
	f.inner.ServeHTTP(answer, r)
	if answer.Code == http.StatusAccepted {
		f.got[http.MethodPatch] += int64(len(body))
		f.sizes[path.Base(r.URL.Path)] = start + int64(len(body))
	}
	if cut {
		panic(http.ErrAbortHandler)
	}
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

// naps is a clock that does not wait and remembers how long it should have.
type naps struct {
	taken []time.Duration
}

func (n *naps) sleep(_ context.Context, d time.Duration) error {
	n.taken = append(n.taken, d)
	return nil
}

// testLayout writes a layout with layers of these sizes. Same seed, same bytes.
func testLayout(t *testing.T, sizes ...int) string {
	t.Helper()
	l := layout{dir: t.TempDir(), manifest: v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}}
	if err := os.MkdirAll(filepath.Join(l.dir, "blobs", "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(raw []byte) v1.Descriptor {
		h, n, err := v1.SHA256(bytes.NewReader(raw))
		if err == nil {
			err = os.WriteFile(l.blob(h), raw, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return v1.Descriptor{Digest: h, Size: n}
	}
	chance := rand.NewChaCha8([32]byte{byte(len(sizes))})
	for _, n := range sizes {
		raw := make([]byte, n)
		chance.Read(raw)
		d := put(raw)
		d.MediaType = types.OCIUncompressedLayer
		l.manifest.Layers = append(l.manifest.Layers, d)
	}
	l.manifest.Config = put([]byte(`{"os":"linux","architecture":"amd64"}`))
	l.manifest.Config.MediaType = types.OCIConfigJSON
	l.finish(t)
	return l.dir
}

// finish writes manifest and index.
func (l layout) finish(t *testing.T) {
	t.Helper()
	raw, err := marshal(l.manifest)
	if err != nil {
		t.Fatal(err)
	}
	l.raw = raw
	h, n, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	l.image = v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: h, Size: n}
	if err := l.write(); err != nil {
		t.Fatal(err)
	}
}

// sameLayers fails unless both layouts hold the same image, byte for byte.
func sameLayers(t *testing.T, want, got string) {
	t.Helper()
	a, err := openLayout(want)
	if err != nil {
		t.Fatal(err)
	}
	b, err := openLayout(got)
	if err != nil {
		t.Fatal(err)
	}
	if a.image.Digest != b.image.Digest {
		t.Fatalf("digests differ: %s, %s", a.image.Digest, b.image.Digest)
	}
	for _, d := range a.blobs() {
		x, errx := os.ReadFile(a.blob(d.Digest))
		y, erry := os.ReadFile(b.blob(d.Digest))
		if errx != nil || erry != nil || !bytes.Equal(x, y) {
			t.Errorf("blob %s differs: %v, %v", d.Digest, errx, erry)
		}
	}
}
