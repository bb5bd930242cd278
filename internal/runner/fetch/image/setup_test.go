package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"kaito.sh/kaito/internal/modelimage"
	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/runner/fetch"
	"kaito.sh/kaito/internal/runner/fetch/image"
)

// model writes a folder that `kaito model package` takes, and returns its files.
func model(t *testing.T, bytesOfWeights int) (dir string, files map[string]string) {
	t.Helper()
	weights := make([]byte, bytesOfWeights)
	rand.NewChaCha8([32]byte{7}).Read(weights)
	head := fmt.Appendf(nil, `{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, len(weights), len(weights))
	shard := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	files = map[string]string{
		"config.json": `{"architectures":["LlamaForCausalLM"],"model_type":"llama","num_hidden_layers":2,"num_attention_heads":2,` +
			`"num_key_value_heads":2,"hidden_size":64,"vocab_size":100,"max_position_embeddings":128}`,
		"LICENSE":           "MIT",
		"tokenizer.json":    "{}",
		"model.safetensors": string(append(append(shard, head...), weights...)),
	}
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, files
}

// push packages a model as users do and pushes it.
func push(t *testing.T, dir, ref string, keys oci.Rings) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "model.oci")
	_, err := modelimage.Package(t.Context(), modelimage.Options{Path: dir, Name: "tiny", Out: out, License: "MIT"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oci.New(oci.Options{Keychain: keys}).Push(t.Context(), out, ref); err != nil {
		t.Fatal(err)
	}
}

type run struct {
	dir   string
	from  image.Options
	free  int64
	mu    sync.Mutex
	last  [2]int64
	slept []time.Duration
	// pause, when set, is called in the place of every sleep.
	pause func()
}

func (r *run) fetch(ctx context.Context) error {
	return fetch.Run(ctx, image.New(r.from), fetch.Options{
		Dir: r.dir, Free: func(string) (int64, error) { return r.free, nil },
		Sleep: func(ctx context.Context, d time.Duration) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.slept = append(r.slept, d)
			if r.pause != nil {
				r.pause()
			}
			return ctx.Err()
		},
		Report: func(done, total int64) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.last = [2]int64{done, total}
		},
		Log: slog.New(slog.DiscardHandler),
	})
}

func of(t *testing.T, ref string) *run {
	t.Helper()
	return &run{dir: filepath.Join(t.TempDir(), "model"), from: image.Options{Reference: ref}, free: 1 << 40}
}

func same(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(text), err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := want[e.Name()]; !ok && e.Name() != ".kaito" {
			t.Errorf("%s should not be there", e.Name())
		}
	}
}

// bench is a registry that a test can damage.
type bench struct {
	inner http.Handler
	mu    sync.Mutex
	// damage says how often the byte of a blob is wrong, busy how often it is refused.
	damage, busy int
	asked        []string
}

func newBench(t *testing.T) (*bench, string) {
	t.Helper()
	b := &bench{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return b, strings.TrimPrefix(server.URL, "http://")
}

func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
		b.inner.ServeHTTP(w, r)
		return
	}
	b.mu.Lock()
	b.asked = append(b.asked, r.Header.Get("Range"))
	busy, damage := b.busy > 0, b.damage > 0
	if busy {
		b.busy--
	} else if damage {
		b.damage--
	}
	b.mu.Unlock()
	if busy {
		w.Header().Set("Retry-After", "9")
		http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`, http.StatusTooManyRequests)
		return
	}
	whole := httptest.NewRecorder()
	b.inner.ServeHTTP(whole, r)
	body := whole.Body.Bytes()
	if damage {
		body[len(body)-1] ^= 1
	}
	for k, v := range whole.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(whole.Code)
	w.Write(body)
}

// entry is a member of a layer.
type entry struct {
	name, text string
	kind       byte
	link       string
}

// layer is a tar archive.
func layer(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		kind := e.kind
		if kind == 0 {
			kind = tar.TypeReg
		}
		head := &tar.Header{Typeflag: kind, Name: e.name, Linkname: e.link, Mode: 0o644, Size: int64(len(e.text))}
		if err := w.WriteHeader(head); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t *testing.T, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(raw)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstded(t *testing.T, raw []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(raw, nil)
}

// put pushes an image with these layers.
func put(t *testing.T, ref string, kind types.MediaType, layers ...[]byte) {
	t.Helper()
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for _, raw := range layers {
		var err error
		image, err = mutate.Append(image, mutate.Addendum{Layer: static.NewLayer(raw, kind), MediaType: kind})
		if err != nil {
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
}
