package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// machine stands for mmdebstrap and buildah: it answers as they do, on a tree that
// the test prepared, and remembers what was asked.
type machine struct {
	base, tree string
	asked      []string
	// fails says what a program prints when it fails, by the word it is called with.
	fails map[string]string
}

func (m *machine) run(_ context.Context, c command) (time.Duration, error) {
	verb := c.argv[0]
	if verb == "buildah" {
		verb = c.argv[7]
	}
	m.asked = append(m.asked, verb)
	if said, ok := m.fails[verb]; ok {
		fmt.Fprintln(c.log, said)
		return time.Second, errors.New("exit status 1")
	}
	answer := ""
	switch verb {
	case "mmdebstrap":
		tree := c.argv[len(c.argv)-1]
		if err := os.CopyFS(tree, os.DirFS(m.base)); err != nil {
			return 0, err
		}
	case "commit":
		answer = "base-id"
	case "from":
		answer = "container"
	case "mount":
		answer = m.tree
	case "inspect":
		answer = `{"OCIv1":{"config":{"User":"2000:0","Env":["HOME=/tmp"],"Labels":{"io.buildah.version":"1"}}}}`
		if slices.Contains(c.argv, "--format") {
			answer = "base-id"
		}
	}
	if c.out != nil {
		fmt.Fprintln(c.out, answer)
	}
	return time.Second, nil
}

func (m *machine) built() int {
	n := 0
	for _, verb := range m.asked {
		if verb == "bud" {
			n++
		}
	}
	return n
}

// bench is a builder on such a machine, with a registry of its own.
type bench struct {
	machine *machine
	options Options
	said    *strings.Builder
}

func newBench(t *testing.T) *bench {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"src/runtimes/toolbox/Dockerfile": "FROM debian:forky-slim\n", "src/runtimes/toolbox/smoke.sh": "true\n", "src/runtimes/toolbox/packages.lock": "deb curl 8\n",
		"src/runtimes/base/packages.lock": "deb bash 5\n", "base/etc/dpkg/dpkg.cfg.d/99mmdebstrap": "path-exclude=/usr/share/doc/*\n", "base/bin/bash": "#!",
		"base/var/lib/dpkg/status": "Package: bash\nStatus: install ok installed\nVersion: 5\n",
		"tree/bin/bash":            "#!", "tree/bin/curl": "curl", "tree/etc/pip.conf": "", "tree/etc/dpkg/dpkg.cfg.d/docker": "path-exclude=/usr/share/doc/*\n",
		"tree/var/lib/dpkg/status": "Package: curl\nStatus: install ok installed\nVersion: 8\n",
	} {
		put(t, root, name, text)
	}
	said := &strings.Builder{}
	return &bench{
		machine: &machine{base: filepath.Join(root, "base"), tree: filepath.Join(root, "tree"), fails: map[string]string{}},
		said:    said,
		options: Options{
			Source: filepath.Join(root, "src"), Cache: filepath.Join(root, "cache"), Names: []string{"toolbox"}, Values: filepath.Join(root, "images.yaml"),
			Progress: said, Now: func() time.Time { return time.Unix(0, 0) }, CPU: func() time.Duration { return 0 },
		},
	}
}

func (b *bench) run(t *testing.T) error {
	t.Helper()
	builder := New(b.options)
	builder.engine.run = b.machine.run
	return builder.Run(t.Context())
}

func emptyRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestARunBuildsPushesAndNamesTheDigest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.options.Registry = emptyRegistry(t)
	if err := b.run(t); err != nil {
		t.Fatal(err)
	}
	record, whole, err := store{dir: b.options.Cache}.load("toolbox")
	if err != nil || !whole {
		t.Fatalf("the record is whole: %v, %v", whole, err)
	}
	values := read(t, b.options.Values)
	for _, want := range []string{"  toolbox:\n    repository: registry.local:5000/kaito/toolbox\n    tag: dev\n    digest: " + record.Digest + "\n"} {
		if !strings.Contains(values, want) {
			t.Errorf("the values file lacks %q:\n%s", want, values)
		}
	}
	if len(record.Layers) != 2 || record.Config.User != "2000:0" || len(record.Config.Labels) != 0 {
		t.Errorf("got %d layers and the config %+v", len(record.Layers), record.Config)
	}
	if !strings.Contains(b.said.String(), "built, pushed") {
		t.Errorf("said:\n%s", b.said)
	}
}

func TestASecondRunBuildsNothingAndSendsWhatARegistryLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.options.Registry = emptyRegistry(t)
	if err := b.run(t); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, registry, want string }{
		{"the same registry", b.options.Registry, "unchanged, in the registry"},
		{"a registry that lost all", emptyRegistry(t), "unchanged, pushed"},
	} {
		b.said.Reset()
		b.options.Registry = tc.registry
		if err := b.run(t); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if !strings.Contains(b.said.String(), tc.want) {
			t.Errorf("%s: want %q, said:\n%s", tc.name, tc.want, b.said)
		}
	}
	if n := b.machine.built(); n != 1 {
		t.Errorf("the Dockerfile ran %d times, want once", n)
	}
}

func TestTheSameInputGivesTheSameDigestFromEmptyCaches(t *testing.T) {
	t.Parallel()
	digests := map[string]bool{}
	for range 2 {
		b := newBench(t)
		if err := b.run(t); err != nil {
			t.Fatal(err)
		}
		record, _, err := store{dir: b.options.Cache}.load("toolbox")
		if err != nil {
			t.Fatal(err)
		}
		digests[record.Digest] = true
	}
	if len(digests) != 1 {
		t.Errorf("got %v", digests)
	}
}

func TestAFailureNamesItsLogItsLastLinesAndTheWayOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(b *bench)
		says  []string
	}{
		"a broken Dockerfile": {
			func(b *bench) { b.machine.fails["bud"] = "E: Unable to locate package curll" },
			[]string{`build image "toolbox"`, "Unable to locate package curll", "logs/toolbox.log"},
		},
		"a mirror that is down": {
			func(b *bench) { b.machine.fails["mmdebstrap"] = "E: apt-get update failed" },
			[]string{`build image "base"`, "apt-get update failed", "logs/base.log"},
		},
		"a smoke test that fails": {
			func(b *bench) { b.machine.fails["run"] = "curl: not found" },
			[]string{`build image "toolbox"`, "smoke test of the built image", "curl: not found"},
		},
		"strict locks": {
			func(b *bench) { b.options.Locked = true; b.options.Source = relock(b.options.Source) },
			[]string{"1 packages differ from runtimes/toolbox/packages.lock (deb curl 7 is now 8)", "--update-locks"},
		},
		"a registry that is down": {
			func(b *bench) { b.options.Registry = "127.0.0.1:1" },
			[]string{"the registry 127.0.0.1:1 does not answer", "kaito local up", "--no-push"},
		},
		"models without the program that packages them": {
			func(b *bench) { b.options.Names, b.options.CLI = []string{"models"}, "/nowhere/kaito" },
			[]string{"/nowhere/kaito", "make build"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			tc.spoil(b)
			err := b.run(t)
			if err == nil {
				t.Fatal("nothing was refused")
			}
			for _, want := range tc.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			if _, whole, _ := (store{dir: b.options.Cache}).load("toolbox"); whole {
				t.Error("a failed build left a record")
			}
		})
	}
}

// relock makes the lock of the toolbox an old one.
func relock(source string) string {
	if err := os.WriteFile(filepath.Join(source, "runtimes/toolbox/packages.lock"), []byte("deb curl 7\n"), 0o644); err != nil {
		panic(err)
	}
	return source
}

func TestTwoRunsInOneCacheAreKeptApart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	builder := New(b.options)
	unlock, err := builder.lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.run(t); err == nil || !strings.Contains(err.Error(), "another run builds images") {
		t.Errorf("got %v", err)
	}
	unlock()
	if err := b.run(t); err != nil {
		t.Errorf("after the first run ended: %v", err)
	}
}

func TestAHalfMadeBaseIsTakenAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	put(t, b.options.Cache, "base-123/tree/etc/passwd", "root")
	if err := b.run(t); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(b.options.Cache, "base-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestNoBuildBeginsWithoutSpace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	err := New(b.options).space(Image{Name: "tuner", Space: 1 << 62})
	if err == nil || !strings.Contains(err.Error(), "KAITO_CACHE") {
		t.Errorf("got %v", err)
	}
}
