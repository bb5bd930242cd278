package hub_test

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kaito.sh/kaito/internal/hub/hubtest"
	"kaito.sh/kaito/internal/runner/fetch"
	"kaito.sh/kaito/internal/runner/fetch/hub"
)

// tiny is a repository as they are: weights in LFS, the rest in git, and a lot that no
// engine loads.
func tiny() hubtest.Repository {
	return hubtest.Repository{
		Files: map[string]string{
			"config.json": `{"architectures":["LlamaForCausalLM"]}`, "README.md": "# tiny\n", ".gitattributes": "*.safetensors filter=lfs\n",
			"merges.txt": "a b\n", "original/params.json": "{}", "onnx/config.json": "{}", "vocab.json": "{}",
			"model.safetensors.index.json": `{"weight_map":{}}`,
		},
		Large: map[string]string{
			"model-00001-of-00002.safetensors": strings.Repeat("first shard ", 40_000),
			"model-00002-of-00002.safetensors": strings.Repeat("second shard ", 30_000),
			"consolidated.safetensors":         "the same once more",
			"pytorch_model.bin":                "a pickle",
			"tokenizer.json":                   strings.Repeat("{}", 9),
			"original/consolidated.00.pth":     "a pickle",
			"onnx/model.onnx":                  "for others",
		},
	}
}

// run is one fetch.
type run struct {
	dir   string
	naps  naps
	stall time.Duration
	free  int64
	// last is the last progress.
	last  [2]int64
	about hub.Options
	log   strings.Builder
}

type naps struct {
	mu    sync.Mutex
	taken []time.Duration
}

func (n *naps) sleep(ctx context.Context, d time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken = append(n.taken, d)
	return ctx.Err()
}

func of(t *testing.T, h *hubtest.Hub) *run {
	t.Helper()
	return &run{
		dir: filepath.Join(t.TempDir(), "weights", "model"), stall: 30 * time.Second, free: 1 << 40,
		about: hub.Options{Endpoint: h.URL, Repository: "kaito/tiny", Revision: "main", Version: "test"},
	}
}

func (r *run) fetch(ctx context.Context, t *testing.T) error {
	t.Helper()
	source, err := hub.New(r.about)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	return fetch.Run(ctx, source, fetch.Options{
		Dir: r.dir, Free: func(string) (int64, error) { return r.free, nil }, Sleep: r.naps.sleep, Stall: r.stall,
		Report: func(done, total int64) {
			mu.Lock()
			defer mu.Unlock()
			r.last = [2]int64{done, total}
		},
		Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	})
}

// files are those below dir, without the runner's own.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == ".kaito" {
				return fs.SkipDir
			}
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wanted are the files of tiny that an engine loads.
func wanted() map[string]string {
	all, out := tiny(), map[string]string{}
	for _, name := range []string{"config.json", "merges.txt", "vocab.json", "model.safetensors.index.json"} {
		out[name] = all.Files[name]
	}
	for _, name := range []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "tokenizer.json"} {
		out[name] = all.Large[name]
	}
	return out
}

func same(t *testing.T, want, got map[string]string) {
	t.Helper()
	for name := range want {
		if want[name] != got[name] {
			t.Errorf("%s: %d bytes, want %d", name, len(got[name]), len(want[name]))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s should not be there", name)
		}
	}
}
