package programs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"
)

// fakeGo stands for the Go compiler: it answers "env", writes an executable for
// each package, and does what the files beside it ask for.
const fakeGo = `#!/bin/sh
here=$(dirname "$0")
if [ "$1" = env ]; then
	echo '{"GOVERSION":"'$(cat "$here/version")'","GOOS":"linux","GOARCH":"amd64","GOCACHE":"'"$here"'","GOMODCACHE":"'"$here"'","CC":"true"}'
	exit 0
fi
echo "$CGO_ENABLED $GOFLAGS $*" >> "$here/calls"
[ -e "$here/slow" ] && sleep 60
if [ -e "$here/broken" ]; then
	echo some/package
	cat "$here/broken" >&2
	exit 1
fi
while [ $# -gt 0 ]; do
	case "$1" in
	-o) out=$2; shift ;;
	-ldflags|-tags|-p) shift ;;
	build|-v) ;;
	*) echo "$1"; echo "$(cat "$here/version") $1" > "$out$(basename "$1")"; chmod 755 "$out$(basename "$1")" ;;
	esac
	shift
done
`

// fakePkgConfig knows libseccomp unless it is told to look somewhere else.
const fakePkgConfig = `#!/bin/sh
[ -z "$PKG_CONFIG_LIBDIR" ] && exit 0
echo "Package libseccomp was not found in the pkg-config search path." >&2
exit 1
`

// tools is the folder of the scripts. They are written once, before anything is
// started: a script that another goroutine's child still holds open for writing
// cannot be run ("text file busy").
var tools string

// TestMain lets no test depend on the C tools of the machine.
func TestMain(m *testing.M) { os.Exit(withTools(m)) }

func withTools(m *testing.M) int {
	var err error
	if tools, err = os.MkdirTemp("", "programs-tools-"); err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(tools) }()
	for name, content := range map[string]string{"go": fakeGo, "pkg-config": fakePkgConfig} {
		if err := os.WriteFile(filepath.Join(tools, name), []byte(content), 0o755); err != nil {
			panic(err)
		}
	}
	// Only pkg-config is looked for by name: the compiler of a test is the link to
	// the script in its own folder.
	if err := os.Setenv("PATH", tools+":"+os.Getenv("PATH")); err != nil {
		panic(err)
	}
	return m.Run()
}

// A bench is a source tree, a cache and a fake compiler.
type bench struct {
	t   *testing.T
	dir string
	out *bytes.Buffer
	o   Options
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), out: &bytes.Buffer{}}
	b.write("go/version", "go1.26.8")
	if err := os.Symlink(filepath.Join(tools, "go"), filepath.Join(b.dir, "go/go")); err != nil {
		t.Fatal(err)
	}
	const gomod = "module m\ngo 1.26.6\nrequire (\n\tk8s.io/kubernetes v1.37.2\n\thelm.sh/helm/v4 v4.3.1\n)\n"
	b.write("src/go.mod", gomod)
	b.write("src/go.sum", "k8s.io/kubernetes v1.37.2 h1:x=\n")
	b.write("src/dns/go.mod", "module m/dns\ngo 1.26.6\n")
	b.write("src/dns/go.sum", "")
	b.write("src/dns/cmd/coredns/main.go", "package main\n")
	for _, dir := range []string{"cmd/hyperkube", "cmd/registry", "cmd/pause", "internal/gpuplugin", "internal/volumes", "internal/registry"} {
		b.write(filepath.Join("src", dir, "a.go"), "package a\n")
	}
	b.o = Options{
		CacheDir: filepath.Join(b.dir, "cache"), SourceDir: filepath.Join(b.dir, "src"),
		GoProgram: filepath.Join(b.dir, "go/go"), Env: os.Environ(), Out: b.out, Clock: clock.RealClock{},
	}
	return b
}

func (b *bench) write(name, content string) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) remove(name string) {
	b.t.Helper()
	if err := os.Remove(filepath.Join(b.dir, name)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) ensure() string {
	b.t.Helper()
	bin, err := Ensure(b.t.Context(), b.o)
	if err != nil {
		b.t.Fatalf("ensure: %v\n%s", err, b.out)
	}
	return bin
}

// built names the recipes that were built since the last call, by what they asked
// the compiler for.
func (b *bench) built() string {
	b.t.Helper()
	path := filepath.Join(b.dir, "go/calls")
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return ""
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.remove("go/calls")
	var names []string
	for line := range strings.Lines(string(content)) {
		for _, r := range recipes {
			if strings.HasSuffix(strings.TrimSpace(line), strings.Join(r.packages, " ")) {
				names = append(names, r.name)
			}
		}
	}
	return strings.Join(names, " ")
}

const everything = "hyperkube containerd cni runc registry helm kwok pause coredns"

func TestEnsureBuildsOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bin := b.ensure()
	if got := b.built(); got != everything {
		t.Errorf("first call built %q, want %q", got, everything)
	}
	for _, name := range Names() {
		if info, err := os.Stat(filepath.Join(bin, name)); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for _, want := range []string{"building hyperkube (1 of 9)", "CPU minutes", "containerd"} {
		if !strings.Contains(b.out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, b.out)
		}
	}
	if _, err := os.Stat(filepath.Join(bin, "../timings.json")); err != nil {
		t.Errorf("timings: %v", err)
	}
	b.out.Reset()
	if again := b.ensure(); again != bin || b.built() != "" || b.out.Len() > 0 {
		t.Errorf("second call: %s, want %s with nothing built and nothing printed:\n%s", again, bin, b.out)
	}
}

func TestAChangeBuildsWhatDependsOnIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*bench)
		want   string
	}{
		"the registry's source":        {func(b *bench) { b.write("src/internal/registry/a.go", "package b\n") }, "registry"},
		"a new file of a stand-in":     {func(b *bench) { b.write("src/internal/volumes/b.go", "package a\n") }, "hyperkube"},
		"a test":                       {func(b *bench) { b.write("src/internal/volumes/b_test.go", "package a\n") }, ""},
		"the launcher":                 {func(b *bench) { b.write("src/internal/cluster/a.go", "package a\n") }, ""},
		"the DNS module":               {func(b *bench) { b.write("src/dns/go.sum", "x\n") }, "coredns"},
		"the module of the others":     {func(b *bench) { b.write("src/go.sum", "x\n") }, strings.TrimSuffix(everything, " coredns")},
		"another Go":                   {func(b *bench) { b.write("go/version", "go1.27.0") }, everything},
		"a program that was truncated": {func(b *bench) { b.damage("containerd-*/ctr", "") }, "containerd"},
		"a record that was truncated":  {func(b *bench) { b.damage("helm-*/build.json", "{") }, "helm"},
		"a program that was removed":   {func(b *bench) { b.lose("cni-*/bridge") }, "cni"},
		"a record that was removed":    {func(b *bench) { b.lose("kwok-*/build.json") }, "kwok"},
		"links that were removed":      {func(b *bench) { b.lose("../*/bin/kubelet") }, ""},
		"what a killed builder left":   {func(b *bench) { b.write("cache/programs/tmp-x/a", ""); b.lose("../*/bin/etcd") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.ensure()
			b.built()
			c.change(b)
			bin := b.ensure()
			if got := b.built(); got != c.want {
				t.Errorf("built %q, want %q", got, c.want)
			}
			if left, _ := filepath.Glob(filepath.Join(b.o.root(), temporary+"*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			for _, name := range Names() {
				if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// find returns the one path in the store that matches.
func (b *bench) find(pattern string) string {
	b.t.Helper()
	found, err := filepath.Glob(filepath.Join(b.o.root(), storeDir, pattern))
	if err != nil || len(found) != 1 {
		b.t.Fatalf("%s: found %v, %v", pattern, found, err)
	}
	return found[0]
}

func (b *bench) damage(pattern, content string) {
	b.t.Helper()
	if err := os.WriteFile(b.find(pattern), []byte(content), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) lose(pattern string) {
	b.t.Helper()
	if err := os.Remove(b.find(pattern)); err != nil {
		b.t.Fatal(err)
	}
}

func TestNamesLimitTheWork(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.o.Names = []string{"etcd", "kube-apiserver", "pause"}
	bin := b.ensure()
	if got := b.built(); got != "hyperkube pause" {
		t.Errorf("built %q", got)
	}
	if _, err := os.Stat(filepath.Join(bin, "kube-apiserver")); err != nil {
		t.Error(err)
	}
	b.o.Names = nil
	if all := b.ensure(); all == bin {
		t.Errorf("all programs stand in the folder of three")
	}
	if got := b.built(); strings.Contains(got, "hyperkube") || strings.Contains(got, "pause") {
		t.Errorf("built again: %q", got)
	}
}

func TestEachBuildStandsInTimings(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bin := b.ensure()
	content, err := os.ReadFile(filepath.Join(bin, "../timings.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recipes {
		if !bytes.Contains(content, fmt.Appendf(nil, `"recipe": %q`, r.name)) {
			t.Errorf("timings lack %s:\n%s", r.name, content)
		}
	}
	if !bytes.Contains(content, []byte(`"packages": 4`)) { // the four of cni
		t.Errorf("packages are not counted:\n%s", content)
	}
}

func TestTwoBuildersWaitForEachOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	unlock, err := lock(t.Context(), b.o)
	if err != nil {
		t.Fatal(err)
	}
	second := b.o
	var out lockedBuffer
	second.Out = &out
	done := make(chan error, 1)
	go func() {
		_, err := Ensure(t.Context(), second)
		done <- err
	}()
	waiting := fmt.Sprintf("waiting for the builder with process id %d", os.Getpid())
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), waiting); {
		select {
		case err := <-done:
			t.Fatalf("did not wait: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("does not say that it waits: %q", out.String())
		}
	}
	if got := b.built(); got != "" {
		t.Errorf("built under another's lock: %q", got)
	}
	unlock()
	if err := <-done; err != nil {
		t.Errorf("after the wait: %v", err)
	}
	if got := b.built(); got != everything {
		t.Errorf("built %q", got)
	}
}
