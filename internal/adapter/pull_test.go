package adapter_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/adapter/adaptertest"
)

// entry is a member of a layer.
type entry struct {
	name, text string
	kind       byte
}

func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		kind := e.kind
		if kind == 0 {
			kind = tar.TypeReg
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: kind, Name: e.name, Linkname: "x", Mode: 0o644, Size: int64(len(e.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// store is an image's layers, all of one type, in a registry.
func store(t *testing.T, kind types.MediaType, layers ...[]byte) string {
	t.Helper()
	return keep(t, registry.New(registry.Logger(log.New(io.Discard, "", 0))), kind, layers...)
}

func keep(t *testing.T, in http.Handler, kind types.MediaType, layers ...[]byte) string {
	t.Helper()
	server := httptest.NewServer(in)
	t.Cleanup(server.Close)
	ref := strings.TrimPrefix(server.URL, "http://") + "/team/adapter:1"
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for _, raw := range layers {
		var err error
		if image, err = mutate.Append(image, mutate.Addendum{Layer: static.NewLayer(raw, kind), MediaType: kind}); err != nil {
			t.Fatal(err)
		}
	}
	to, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(to, image); err != nil {
		t.Fatal(err)
	}
	return ref
}

// files are the texts of the two files of a sound adapter.
func files(t *testing.T) (config, weights string) {
	t.Helper()
	dir := adaptertest.Sound(t)
	c, err := os.ReadFile(filepath.Join(dir, adapter.ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	w, err := os.ReadFile(filepath.Join(dir, adapter.WeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(c), string(w)
}

// pull pulls without waiting, and tells the pauses.
func pull(t *testing.T, ref, dir string) (adapter.Pulled, []time.Duration, error) {
	t.Helper()
	var pauses []time.Duration
	got, err := adapter.Pull(t.Context(), adapter.PullOptions{
		Reference: ref, Dir: dir, Log: slog.New(slog.DiscardHandler),
		Sleep: func(_ context.Context, d time.Duration) error {
			pauses = append(pauses, d)
			return nil
		},
	})
	return got, pauses, err
}

func TestPullTakesImagesOfAllBuilders(t *testing.T) {
	t.Parallel()
	config, weights := files(t)
	raw := archive(t,
		entry{name: "data", kind: tar.TypeDir}, entry{name: "etc/passwd", text: "x"}, entry{name: "bin/sh", kind: tar.TypeSymlink},
		entry{name: "./data/adapter_config.json", text: config}, entry{name: "/data/adapter_model.safetensors", text: weights},
		entry{name: "data/training_args.bin", text: "a pickle"})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(raw)
	z.Close()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	split := [][]byte{archive(t, entry{name: "data/adapter_config.json", text: "an older one"}, entry{name: "data/adapter_model.safetensors", text: weights}), archive(t, entry{name: "data/adapter_config.json", text: config})}
	for name, tc := range map[string]struct {
		kind   types.MediaType
		layers [][]byte
	}{
		"stored":          {types.OCIUncompressedLayer, [][]byte{raw}},
		"gzip":            {types.OCILayer, [][]byte{zipped.Bytes()}},
		"gzip of Docker":  {types.DockerLayer, [][]byte{zipped.Bytes()}},
		"zstd":            {types.OCILayerZStd, [][]byte{w.EncodeAll(raw, nil)}},
		"in two layers":   {types.OCIUncompressedLayer, split},
		"removed and new": {types.OCIUncompressedLayer, [][]byte{split[0], archive(t, entry{name: ".wh.data"}), raw}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "mine")
			got, pauses, err := pull(t, store(t, tc.kind, tc.layers...), dir)
			if err != nil || len(pauses) > 0 {
				t.Fatal(pauses, err)
			}
			facts, err := adapter.Check(dir)
			if diff := cmp.Diff(facts, got.Facts); err != nil || diff != "" || facts.Rank != 4 {
				t.Errorf("what was told and what is there: %v\n%s", err, diff)
			}
			if !strings.Contains(got.Name, "/team/adapter@sha256:") {
				t.Errorf("name %q", got.Name)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 2 {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}

func TestPullRefuses(t *testing.T) {
	t.Parallel()
	config, weights := files(t)
	c, w := entry{name: "data/adapter_config.json", text: config}, entry{name: "data/adapter_model.safetensors", text: weights}
	for name, tc := range map[string]struct {
		kind types.MediaType
		raw  []byte
		want string
	}{
		"an image without an adapter":      {raw: archive(t, entry{name: "etc/passwd", text: "x"}), want: "it holds no /data/adapter_config.json"},
		"an image without weights":         {raw: archive(t, c), want: `"adapter_model.safetensors": is not there`},
		"a link":                           {raw: archive(t, c, entry{name: w.name, kind: tar.TypeSymlink}), want: "is a link"},
		"a hard link":                      {raw: archive(t, c, entry{name: w.name, kind: tar.TypeLink}), want: "is a link"},
		"a folder that is a link":          {raw: archive(t, entry{name: "data", kind: tar.TypeSymlink}, c, w), want: "/data is no folder"},
		"a name that leads out":            {raw: archive(t, entry{name: "x/../data/adapter_config.json", text: config}, w), want: "leads out"},
		"a configuration without an end":   {raw: archive(t, entry{name: c.name, text: strings.Repeat(" ", 5<<20)}, w), want: "at most 4194304"},
		"an archive that is cut off":       {raw: archive(t, c, w)[:6000], want: "a layer"},
		"no archive":                       {raw: bytes.Repeat([]byte("x"), 2000), want: "cannot be unpacked"},
		"no gzip":                          {kind: types.OCILayer, raw: archive(t, c, w), want: "no gzip"},
		"an artifact of another kind":      {kind: "application/vnd.acme.file", raw: []byte(weights), want: `of type "application/vnd.acme.file"`},
		"an adapter that is removed again": {raw: archive(t, c, w, entry{name: "data/.wh.adapter_config.json"}), want: "holds no /data"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kind := tc.kind
			if kind == "" {
				kind = types.OCIUncompressedLayer
			}
			dir := t.TempDir()
			_, pauses, err := pull(t, store(t, kind, tc.raw), dir)
			var wrong *adapter.UnusableError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.want) || len(pauses) > 0 {
				t.Errorf("got %v after %d pauses, want a refusal that says %q", err, len(pauses), tc.want)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
}

// moody is a registry whose answers to requests for blobs can be changed.
type moody struct {
	inner http.Handler
	mood  func(w http.ResponseWriter, r *http.Request, nth int) bool
	nth   int
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
		m.nth++
		if m.mood(w, r, m.nth) {
			return
		}
	}
	m.inner.ServeHTTP(w, r)
}

func TestPullHasPatience(t *testing.T) {
	t.Parallel()
	config, weights := files(t)
	raw := archive(t, entry{name: "data/adapter_config.json", text: config}, entry{name: "data/adapter_model.safetensors", text: weights})
	damaged := bytes.Clone(raw)
	damaged[len(raw)/2] ^= 1
	seconds := func(n ...int) (out []time.Duration) {
		for _, s := range n {
			out = append(out, time.Duration(s)*time.Second)
		}
		return out
	}
	for name, tc := range map[string]struct {
		mood   func(w http.ResponseWriter, r *http.Request, nth int) bool
		pauses []time.Duration
		want   string
	}{
		"with a registry that is busy": {func(w http.ResponseWriter, _ *http.Request, nth int) bool {
			if nth == 1 {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return nth == 1
		}, seconds(7), ""},
		"with a line that is cut": {func(w http.ResponseWriter, _ *http.Request, nth int) bool {
			if nth < 3 {
				w.Write(raw[:3000])
				panic(http.ErrAbortHandler)
			}
			return false
		}, seconds(1, 2), ""},
		"with bytes that are damaged once": {func(w http.ResponseWriter, _ *http.Request, nth int) bool {
			if nth == 1 {
				w.Write(damaged)
			}
			return nth == 1
		}, seconds(1), ""},
		"but not for ever": {func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Write(damaged)
			return true
		}, seconds(1, 2, 4, 8, 16), "arrived with the digest"},
		"but not when it is refused": {func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}, nil, "in imagePullSecrets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &moody{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0))), mood: func(http.ResponseWriter, *http.Request, int) bool { return false }}
			ref := keep(t, m, types.OCIUncompressedLayer, raw)
			m.nth, m.mood = 0, tc.mood
			_, pauses, err := pull(t, ref, t.TempDir())
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if diff := cmp.Diff(tc.pauses, pauses); diff != "" {
				t.Errorf("pauses (-want +got):\n%s", diff)
			}
		})
	}
}
