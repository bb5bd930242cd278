package programs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*bench)
		want  []string
	}{
		"no Go": {
			func(b *bench) { b.o.GoProgram = "no-such-go" },
			[]string{`"no-such-go"`, "install Go 1.26.6 or newer", "https://go.dev/dl"},
		},
		"an old Go": {
			func(b *bench) { b.write("go/version", "go1.25.3") },
			[]string{"is go1.25.3", "need go1.26.6 or newer", "GOTOOLCHAIN=auto"},
		},
		"a compiler that fails": {
			func(b *bench) { b.write("go/broken", "x.go:1:1: undefined: y\n") },
			[]string{"build hyperkube", "undefined: y", "logs/hyperkube-", "run the same command again"},
		},
		"a full disk": {
			func(b *bench) { b.write("go/broken", "write /x: no space left on device\n") },
			[]string{"build hyperkube", "the disk is full", "make room"},
		},
		"no sources": {
			func(b *bench) { b.o.SourceDir = filepath.Join(b.dir, "elsewhere") },
			[]string{"go.mod", "localcluster folder of a checkout"},
		},
		"no libseccomp": {
			func(b *bench) {
				b.o.Env = append(os.Environ(), "PKG_CONFIG_LIBDIR="+b.dir, "PKG_CONFIG_PATH=")
			},
			[]string{"libseccomp", "apt-get install", "libseccomp-dev"},
		},
		"a cache that cannot be made": {
			func(b *bench) { b.o.CacheDir = filepath.Join(b.dir, "go/go") },
			[]string{"make the cache", "KAITO_CACHE"},
		},
		"a cache that is no path": {
			func(b *bench) { b.o.CacheDir = "cache" },
			[]string{`"cache"`, "not an absolute path"},
		},
		"a name that is no program": {
			func(b *bench) { b.o.Names = []string{"kubeadm"} },
			[]string{`"kubeadm"`, "kubelet"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			c.spoil(b)
			_, err := Ensure(t.Context(), b.o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestAFailedBuildIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("go/broken", "x.go:1:1: undefined: y\n")
	_, err := Ensure(t.Context(), b.o)
	var failed *BuildError
	if !errors.As(err, &failed) || failed.Recipe != "hyperkube" {
		t.Fatalf("error: %v", err)
	}
	if strings.Contains(failed.Tail, "some/package") {
		t.Errorf("the end of the log names packages:\n%s", failed.Tail)
	}
	if content, err := os.ReadFile(failed.Log); err != nil || !bytes.Contains(content, []byte("some/package")) {
		t.Errorf("the log %s: %q, %v", failed.Log, content, err)
	}
	b.built()
	b.remove("go/broken")
	b.ensure()
	if got := b.built(); got != everything {
		t.Errorf("built %q", got)
	}
}

func TestAnInterruptedBuildStopsItsCompiler(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("go/slow", "")
	ctx, cancel := context.WithCancel(t.Context())
	var out lockedBuffer
	b.o.Out = &out
	done := make(chan error, 1)
	go func() {
		_, err := Ensure(ctx, b.o)
		done <- err
	}()
	for b.built() == "" {
		select {
		case err := <-done:
			t.Fatalf("ended early: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the build goes on")
	}
}

func TestPruneLeavesThePresent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ensure()
	b.write("src/internal/registry/a.go", "package b\n")
	bin := b.ensure()
	b.built()
	p, err := Prune(t.Context(), b.o)
	if err != nil {
		t.Fatal(err)
	}
	if p.Removed != 3 || p.InUse != 0 { // the old registry, its log, the old links
		t.Errorf("pruned %+v", p)
	}
	if again := b.ensure(); again != bin || b.built() != "" {
		t.Errorf("prune took something that is needed: %s", b.built())
	}
}

func TestPruneLeavesWhatRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ensure()
	b.write("src/internal/registry/a.go", "package b\n")
	b.ensure()
	root := b.o.root()
	old, err := filepath.Glob(filepath.Join(root, storeDir, "registry-*"))
	if err != nil || len(old) != 2 {
		t.Fatalf("%v, %v", old, err)
	}
	running := map[string]bool{}
	keep := map[string]bool{}
	for _, dir := range old {
		running[filepath.Join(storeDir, filepath.Base(dir))] = true
	}
	kept, err := keepRunning(root, running, keep)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(recipes) + 1 + 2; kept != want || len(keep) != want { // both registries, both folders of links
		t.Errorf("kept %d, want %d: %v", kept, want, keep)
	}
}

func TestListBuildsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	state := func() string {
		l, err := List(t.Context(), b.o)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := l.Write(&out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := state(); strings.Count(got, "missing") != len(recipes) || b.built() != "" {
		t.Errorf("before:\n%s", got)
	}
	bin := b.ensure()
	b.damage("runc-*/runc", "")
	got := state()
	if strings.Count(got, "cached") != len(recipes)-1 || !strings.Contains(got, "damaged: runc has 0 bytes") || !strings.Contains(got, bin) {
		t.Errorf("after:\n%s", got)
	}
}
