package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/oci/registrytest"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/fetch"
)

func TestDistributionGivesAModelWithCredentialsAndAfterAKill(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t)
	dir, files := model(t, 20<<20)
	secret := filepath.Join(t.TempDir(), "hub-secret", ".dockerconfigjson")
	if err := os.MkdirAll(filepath.Dir(secret), 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, r.Addr, registrytest.User, registrytest.Password)
	if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := oci.Keyrings(secret)
	if err != nil {
		t.Fatal(err)
	}
	ref := r.Addr + "/private/tiny:hf"
	push(t, dir, ref, keys)

	anonymous := of(t, ref)
	refused(t, anonymous.fetch(t.Context()), ending.WeightsRefused, "does not show "+ref+" to strangers", "presetOptions.imagePullSecrets")

	wrong := of(t, ref)
	wrong.from.Credentials = []string{filepath.Join(filepath.Dir(secret), "absent"), secret}
	if err := os.WriteFile(secret, []byte(strings.ReplaceAll(text, registrytest.Password, "expired")), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, wrong.fetch(t.Context()), ending.WeightsRefused, "credentials of hub-secret", "imagePullSecrets")

	if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	right := of(t, ref)
	right.from.Credentials = []string{secret}
	// The line is cut in the middle of a layer, and then the registry is killed.
	wire := &cutting{after: 9 << 20}
	// Other files are tried again once the registry is back: without real sleeps their
	// attempts would be over before that.
	var away sync.RWMutex
	wire.cut = func() {
		away.Lock()
		defer away.Unlock()
		r.Kill()
		r.Start(t)
	}
	right.pause = func() {
		away.RLock()
		defer away.RUnlock()
	}
	right.from.Transport = wire
	if err := right.fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	same(t, right.dir, files)
	if wire.times != 1 || wire.again == "" {
		t.Errorf("cut %d times, asked again for %q", wire.times, wire.again)
	}

	none := of(t, r.Addr+"/tiny:none")
	refused(t, none.fetch(t.Context()), ending.WeightsNotFound, "/tiny:none", "tag")
}

// cutting cuts the first long answer.
type cutting struct {
	after int64
	cut   func()

	mu    sync.Mutex
	times int
	again string
}

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times > 0 && r.Header.Get("Range") != "" {
		c.again = r.Header.Get("Range")
	}
	if c.times == 0 && resp.ContentLength > c.after {
		c.times++
		resp.Body = &cutBody{ReadCloser: resp.Body, left: c.after, cut: c.cut}
	}
	return resp, nil
}

type cutBody struct {
	io.ReadCloser
	left int64
	cut  func()
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.cut()
		return 0, errors.New("connection reset by peer")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func refused(t *testing.T, err error, why ending.Reason, says ...string) {
	t.Helper()
	var got *fetch.Error
	if !errors.As(err, &got) || got.Reason != why {
		t.Fatalf("got %v, want %s", err, why)
	}
	for _, want := range says {
		if !strings.Contains(got.Message, want) {
			t.Errorf("%q does not say %q", got.Message, want)
		}
	}
}

func TestImagesOfOtherBuildersAreTakenToo(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("weights ", 100_000)
	raw := layer(t,
		entry{name: "etc/passwd", text: "not ours"}, entry{name: "model/", kind: tar.TypeDir}, entry{name: "./model/config.json", text: "{}"},
		entry{name: "/model/sub/model.safetensors", text: big}, entry{name: "model2/x", text: "not ours"}, entry{name: "model/empty", text: ""})
	for name, tc := range map[string]struct {
		kind types.MediaType
		raw  []byte
	}{
		"stored":        {types.OCIUncompressedLayer, raw},
		"gzip":          {types.OCILayer, zipped(t, raw)},
		"Docker's gzip": {types.DockerLayer, zipped(t, raw)},
		"zstd":          {types.OCILayerZStd, zstded(t, raw)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, host := newBench(t)
			put(t, host+"/m:x", tc.kind, tc.raw)
			b.damage, b.busy = 1, 1
			r := of(t, host+"/m:x")
			if err := r.fetch(t.Context()); err != nil {
				t.Fatal(err)
			}
			for file, want := range map[string]string{"config.json": "{}", "sub/model.safetensors": big, "empty": ""} {
				if got, err := os.ReadFile(filepath.Join(r.dir, file)); err != nil || string(got) != want {
					t.Errorf("%s: %d bytes, %v", file, len(got), err)
				}
			}
			for _, file := range []string{"passwd", "x", "../etc/passwd"} {
				if _, err := os.Lstat(filepath.Join(r.dir, file)); err == nil {
					t.Errorf("%s should not be there", file)
				}
			}
			if len(r.slept) != 1 || r.slept[0] != 9*time.Second {
				t.Errorf("slept %v, the registry said 9 s", r.slept)
			}
			if r.last[0] != int64(len(tc.raw)) || r.last[1] != int64(len(tc.raw)) {
				t.Errorf("progress ended at %v of %d", r.last, len(tc.raw))
			}
			asked := len(b.asked)
			if err := r.fetch(t.Context()); err != nil || len(b.asked) != asked {
				t.Errorf("a second run asked for %d blobs, %v", len(b.asked)-asked, err)
			}
		})
	}
}

func TestWhatMustNotBeTakenIsRefused(t *testing.T) {
	t.Parallel()
	fine := entry{name: "model/config.json", text: "{}"}
	for name, tc := range map[string]struct {
		layers [][]byte
		kind   types.MediaType
		change func(*run, *bench)
		reason ending.Reason
		says   string
	}{
		"a link":                      {layers: [][]byte{layer(t, fine, entry{name: "model/x", kind: tar.TypeSymlink, link: "/etc/passwd"})}, reason: ending.WeightsUnusable, says: `"model/x", which is a link`},
		"a hard link":                 {layers: [][]byte{layer(t, entry{name: "model/x", kind: tar.TypeLink, link: "etc/passwd"})}, reason: ending.WeightsUnusable, says: "a link"},
		"a device":                    {layers: [][]byte{layer(t, entry{name: "model/x", kind: tar.TypeChar})}, reason: ending.WeightsUnusable, says: "a link or a device"},
		"a name that leads out":       {layers: [][]byte{layer(t, entry{name: "model/../../x", text: "x"}, entry{name: "model/a/../../model/y", text: "y"})}, reason: ending.WeightsUnusable, says: "leads out"},
		"the runner's own folder":     {layers: [][]byte{layer(t, entry{name: "model/.kaito/weights.json", text: "{}"})}, reason: ending.WeightsUnusable, says: "kept for the runner"},
		"a file that removes another": {layers: [][]byte{layer(t, entry{name: "model/.wh.config.json"})}, reason: ending.WeightsUnusable, says: "removes"},
		"one file in two layers":      {layers: [][]byte{layer(t, fine), layer(t, fine, fine)}, reason: ending.WeightsUnusable, says: "in two layers"},
		"no file of a model":          {layers: [][]byte{layer(t, entry{name: "etc/passwd", text: "x"})}, reason: ending.WeightsUnusable, says: "no file below /model"},
		"a layer that is no archive":  {layers: [][]byte{bytes.Repeat([]byte("x"), 2000)}, reason: ending.WeightsUnusable, says: "cannot be unpacked"},
		"a layer that is no gzip":     {layers: [][]byte{layer(t, fine)}, kind: types.OCILayer, reason: ending.WeightsUnusable, says: "cannot be unpacked"},
		"an archive that is cut off":  {layers: [][]byte{layer(t, entry{name: "model/x", text: strings.Repeat("x", 2000)})[:1500]}, reason: ending.WeightsUnusable, says: "larger than its layer"},
		"a layer of an unknown kind":  {layers: [][]byte{layer(t, fine)}, kind: "application/x-secret", reason: ending.WeightsUnusable, says: `"application/x-secret"`},
		"a disk that is full":         {layers: [][]byte{layer(t, fine)}, change: func(r *run, _ *bench) { r.free = 10 }, reason: ending.DiskFull, says: "10 bytes free"},
		"a file too large once it is unpacked": {
			layers: [][]byte{zipped(t, layer(t, entry{name: "model/zeros", text: strings.Repeat("0", 1<<20)}))}, kind: types.OCILayer,
			change: func(r *run, _ *bench) { r.free = 1 << 19 }, reason: ending.DiskFull, says: "1.0 MB",
		},
		"a digest that stays wrong": {layers: [][]byte{layer(t, fine)}, change: func(_ *run, b *bench) { b.damage = 99 }, reason: ending.WeightsCorrupt, says: "twice"},
		"a reference that is none":  {layers: [][]byte{layer(t, fine)}, change: func(r *run, _ *bench) { r.from.Reference = "host/UPPER:x" }, reason: ending.WeightsUnusable, says: "host/UPPER:x"},
		"credentials that are none": {layers: [][]byte{layer(t, fine)}, change: func(r *run, _ *bench) { r.from.Credentials = []string{"image_test.go"} }, reason: ending.WeightsRefused, says: "kubernetes.io/dockerconfigjson"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, host := newBench(t)
			kind := tc.kind
			if kind == "" {
				kind = types.OCIUncompressedLayer
			}
			put(t, host+"/m:x", kind, tc.layers...)
			r := of(t, host+"/m:x")
			if tc.change != nil {
				tc.change(r, b)
			}
			refused(t, r.fetch(t.Context()), tc.reason, tc.says)
			for _, out := range []string{"../x", "../../x", "../etc", "../passwd"} {
				if _, err := os.Lstat(filepath.Join(r.dir, out)); err == nil {
					t.Errorf("%s was written", out)
				}
			}
		})
	}
}

func TestRestartGoesOnInTheMiddleOfALayer(t *testing.T) {
	t.Parallel()
	big := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{1}).Read(big)
	raw := layer(t, entry{name: "model/model.gguf", text: string(big)})
	for name, tc := range map[string]struct {
		between func(t *testing.T, dir string)
		// ranges are those asked for by the second run.
		ranges []string
	}{
		"a piece is there":             {func(*testing.T, string) {}, []string{"", fmt.Sprintf("bytes=%d-%d", 512+1<<20, len(raw)-1)}},
		"a piece is there but damaged": {func(t *testing.T, dir string) { damagePieces(t, dir) }, []string{"", fmt.Sprintf("bytes=%d-%d", 512+1<<20, len(raw)-1), ""}},
		"the whole file is there, without a record": {
			func(t *testing.T, dir string) {
				if err := os.WriteFile(filepath.Join(dir, "model.gguf"), big, 0o644); err != nil {
					t.Fatal(err)
				}
			}, []string{"", fmt.Sprintf("bytes=%d-%d", 512+len(big), len(raw)-1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, host := newBench(t)
			put(t, host+"/m:x", types.OCIUncompressedLayer, raw)
			r := of(t, host+"/m:x")
			ctx, cancel := context.WithCancel(t.Context())
			// The first run is ended when a megabyte of the file has come.
			r.from.Transport = transport(func(q *http.Request) (*http.Response, error) {
				resp, err := http.DefaultTransport.RoundTrip(q)
				if err == nil && strings.Contains(q.URL.Path, "/blobs/") {
					resp.Body = &cutBody{ReadCloser: resp.Body, left: 512 + 1<<20, cut: cancel}
				}
				return resp, err
			})
			if err := r.fetch(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("the first run ended with %v", err)
			}
			tc.between(t, r.dir)
			b.asked = nil
			r.from.Transport = nil
			if err := r.fetch(t.Context()); err != nil {
				t.Fatal(err)
			}
			same(t, r.dir, map[string]string{"model.gguf": string(big)})
			if got, want := strings.Join(b.asked, "|"), strings.Join(tc.ranges, "|"); got != want {
				t.Errorf("ranges %q, want %q", got, want)
			}
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func damagePieces(t *testing.T, dir string) {
	t.Helper()
	pieces, err := filepath.Glob(filepath.Join(dir, ".kaito", "*.0"))
	if err != nil || len(pieces) != 1 {
		t.Fatalf("pieces: %v, %v", pieces, err)
	}
	f, err := os.OpenFile(pieces[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("damage"), 1000); err != nil {
		t.Fatal(err)
	}
}
