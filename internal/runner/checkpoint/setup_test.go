package checkpoint

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/oci/registrytest"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/registry"
)

const run = "0123456789ab"

// seal leaves a whole checkpoint as the trainer does: its mark comes last.
func seal(t *testing.T, dir, runID string, step int) {
	t.Helper()
	folder := filepath.Join(dir, folderOf(step))
	if err := os.MkdirAll(filepath.Join(folder, "deep", "er"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]struct {
		size int
		mode fs.FileMode
	}{
		"optimizer.pt": {3 << 20, 0o644}, "adapter_model.safetensors": {1 << 20, 0o600},
		"deep/er/rng.pth": {14244, 0o640}, "deep/empty": {0, 0o644}, "trainer_state.json": {700, 0o604},
	} {
		raw := make([]byte, f.size)
		var key [32]byte
		copy(key[:], fmt.Sprint(step, name))
		rand.NewChaCha8(key).Read(raw)
		write(t, filepath.Join(folder, name), raw, f.mode)
	}
	mark := fmt.Sprintf(`{"runID": %q, "step": %d, "seconds": 12.5, "tokens": 99}`, runID, step)
	write(t, filepath.Join(folder, contract.CheckpointMark), []byte(mark), 0o644)
}

func write(t *testing.T, name string, raw []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, raw, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// tree is everything below a folder: mode and bytes of files.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		raw, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		out[rel] = fmt.Sprintf("%v %x", info.Mode(), raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, want, got string) {
	t.Helper()
	if diff := cmp.Diff(tree(t, want), tree(t, got)); diff != "" {
		t.Errorf("what came back (-pushed +fetched):\n%.2000s", diff)
	}
}

// place is an output in a registry.
type place struct {
	registry *registrytest.Registry
	tune     contract.Tune
	secret   string
	free     int64
}

// newPlace is a private repository of the test's own.
func newPlace(t *testing.T, r *registrytest.Registry, name string) place {
	t.Helper()
	p := place{registry: r, free: 1 << 40, secret: filepath.Join(t.TempDir(), "config.json")}
	p.tune = contract.Tune{RunID: run, Output: contract.TuneOutput{Image: r.Addr + "/private/" + name + ":1", SecretName: "push"}}
	write(t, p.secret, fmt.Appendf(nil, `{"auths":{%q:{"username":%q,"password":%q}}}`, r.Addr, registrytest.User, registrytest.Password), 0o600)
	return p
}

func nap(ctx context.Context, _ time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Millisecond):
		return nil
	}
}

func (p place) open() (*registry.Output, error) {
	return registry.Open(registry.Options{Tune: p.tune, SecretFile: p.secret, Phase: "checking", Sleep: nap, Log: slog.New(slog.DiscardHandler)})
}

func (p place) output(t *testing.T) *registry.Output {
	t.Helper()
	out, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fetch brings the newest checkpoint into a folder.
func (p place) fetch(t *testing.T, dir string) (int, error) {
	t.Helper()
	return Fetch(t.Context(), FetchOptions{
		Output: p.output(t), RunID: p.tune.RunID, Dir: dir, Phase: "checking", Sleep: nap, Log: slog.New(slog.DiscardHandler),
		Free: func(string) (int64, error) { return p.free, nil },
	})
}

// watch is a sidecar at work.
type watch struct {
	t       *testing.T
	ticks   chan time.Time
	signals chan os.Signal
	ended   chan error

	mu    sync.Mutex
	alive bool
	asked int
}

func (p place) watch(t *testing.T, dir string) *watch {
	t.Helper()
	w := &watch{t: t, ticks: make(chan time.Time), signals: make(chan os.Signal, 4), ended: make(chan error, 1)}
	go func() {
		w.ended <- Run(t.Context(), Options{
			Open: p.open, RunID: run, Dir: dir, Ticks: w.ticks, Signals: w.signals, Patience: time.Minute,
			Alive: func(context.Context) bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.asked++
				return w.alive
			},
			Log: slog.New(slog.DiscardHandler),
		})
	}()
	return w
}

// live says whether a trainer is alive.
func (w *watch) live(alive bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alive = alive
}

// until ticks until something is so.
func (w *watch) until(what string, so func() bool) {
	w.t.Helper()
	for range 3000 {
		if so() {
			return
		}
		select {
		case w.ticks <- time.Time{}:
		case err := <-w.ended:
			w.t.Fatalf("ended before %s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("waited in vain until %s", what)
}

// end ticks until the sidecar has ended.
func (w *watch) end() {
	w.t.Helper()
	for range 3000 {
		select {
		case err := <-w.ended:
			if err != nil {
				w.t.Error(err)
			}
			return
		case w.ticks <- time.Time{}:
			time.Sleep(10 * time.Millisecond)
		}
	}
	w.t.Fatal("the sidecar does not end")
}

// holds says that the registry has the checkpoint of a step.
func (p place) holds(t *testing.T, step int) func() bool {
	return func() bool {
		notes, _, err := p.output(t).Look(t.Context(), p.output(t).Checkpoint)
		return err == nil && notes[annotationStep] == fmt.Sprint(step)
	}
}
