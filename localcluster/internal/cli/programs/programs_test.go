package programs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/utils/clock"

	"kaito.sh/kaito/localcluster/internal/programs"
)

// goScript is a compiler that makes an empty program of each package.
const goScript = `#!/bin/sh
if [ "$1" = env ]; then
	echo '{"GOVERSION":"go1.26.8","GOOS":"linux","GOARCH":"amd64","GOCACHE":"/","GOMODCACHE":"/","CC":"true"}'
	exit 0
fi
while [ $# -gt 0 ]; do
	case "$1" in
	-o) out=$2; shift ;;
	esac
	shift
done
for p in pause hyperkube; do echo x > "$out$p"; chmod 755 "$out$p"; done
`

// compiler is the script, written once before anything is started: one that another
// goroutine's child still holds open for writing cannot be run ("text file busy").
var compiler string

func TestMain(m *testing.M) { os.Exit(withCompiler(m)) }

func withCompiler(m *testing.M) int {
	dir, err := os.MkdirTemp("", "programs-compiler-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	compiler = filepath.Join(dir, "go")
	if err := os.WriteFile(compiler, []byte(goScript), 0o755); err != nil {
		panic(err)
	}
	return m.Run()
}

// options are those of a checkout and a cache in a folder of the test.
func options(t *testing.T) programs.Options {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"src/go.mod": "module m\ngo 1.26.6\n", "src/go.sum": "", "src/dns/go.mod": "module d\ngo 1.26.6\n", "src/dns/go.sum": "",
		"src/dns/cmd/coredns/a.go": "", "src/cmd/hyperkube/a.go": "", "src/cmd/registry/a.go": "", "src/cmd/pause/a.go": "",
		"src/internal/gpuplugin/a.go": "", "src/internal/volumes/a.go": "", "src/internal/registry/a.go": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return programs.Options{
		CacheDir: filepath.Join(dir, "cache"), SourceDir: filepath.Join(dir, "src"), GoProgram: compiler,
		Env: os.Environ(), Clock: clock.RealClock{},
	}
}

// call runs the verb and returns what it prints as its answer and as progress.
func call(t *testing.T, o programs.Options, args ...string) (answer, progress string, err error) {
	t.Helper()
	var out, told bytes.Buffer
	o.Out = &told
	cmd := New(o)
	cmd.SetOut(&out)
	cmd.SetErr(&told)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), told.String(), err
}

func TestTheAnswerIsTheFolderAndNothingElse(t *testing.T) {
	t.Parallel()
	o := options(t)
	answer, progress, err := call(t, o, "pause", "kubelet")
	if err != nil {
		t.Fatal(err)
	}
	bin := strings.TrimSuffix(answer, "\n")
	for _, name := range []string{"pause", "hyperkube", "kubelet"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !strings.Contains(progress, "building pause") {
		t.Errorf("progress: %s", progress)
	}
	if again, progress, err := call(t, o, "pause", "kubelet"); again != answer || progress != "" || err != nil {
		t.Errorf("again: %q, %q, %v", again, progress, err)
	}
}

func TestQuietPrintsNoProgress(t *testing.T) {
	t.Parallel()
	if _, progress, err := call(t, options(t), "--quiet", "pause"); progress != "" || err != nil {
		t.Errorf("progress %q, %v", progress, err)
	}
}

func TestListAndPrune(t *testing.T) {
	t.Parallel()
	o := options(t)
	if _, _, err := call(t, o, "pause"); err != nil {
		t.Fatal(err)
	}
	answer, _, err := call(t, o, "--list")
	if err != nil || strings.Count(answer, "missing") != 8 || strings.Count(answer, "cached") != 1 {
		t.Errorf("list: %v\n%s", err, answer)
	}
	answer, _, err = call(t, o, "--prune")
	if err != nil || !strings.HasPrefix(answer, "removed 1 folders") { // the links to one program only
		t.Errorf("prune: %v, %q", err, answer)
	}
}

func TestFlagsThatContradictAreRefused(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"list and prune":   {"--list", "--prune"},
		"prune of a name":  {"--prune", "pause"},
		"an unknown name":  {"kubeadm"},
		"an unknown flag":  {"--force"},
		"an unknown list":  {"--list", "kubeadm"},
		"a quiet nonsense": {"--quiet", "kubeadm"},
	} {
		if _, _, err := call(t, options(t), args...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
