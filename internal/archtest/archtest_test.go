package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "kaito.sh/kaito/"

// foreign are folders with rules of their own: other modules and files that are no code of ours.
var foreign = []string{"localcluster", "tools", "bin", "runtimes", ".git", ".venv", "testdata", "node_modules"}

// file is one Go file: the folder that it stands in and what it imports.
type file struct {
	path, dir string
	test      bool
	imports   []string
}

func TestEveryImportIsAllowedByTheTable(t *testing.T) {
	for _, v := range violations(load(t, filepath.Join("..", ".."))) {
		t.Error(v)
	}
}

func TestTheTableIsUpToDate(t *testing.T) {
	used := map[string]bool{}
	for _, f := range load(t, filepath.Join("..", "..")) {
		used[find(f.dir)] = true
	}
	for name, r := range rooms() {
		if !used[name] && name != "test/e2e" {
			t.Errorf("room %q is empty: remove its line or put the code in", name)
		}
		for _, key := range r.keys {
			if find(key) == "" && !prefixes(key) {
				t.Errorf("room %q has a key to %q, which is no room", name, key)
			}
		}
	}
}

// A rule that cannot fail is no rule: each kind of violation is planted and must be told.
func TestPlantedViolationsAreTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file file
		want string
	}{
		"an API package that imports one of our nouns": {file{path: "api/v1beta1/x.go", dir: "api/v1beta1", imports: []string{module + "internal/model"}}, "has no key"},
		"a renderer that talks to the cluster":         {file{path: "internal/render/x.go", dir: "internal/render", imports: []string{"sigs.k8s.io/controller-runtime/pkg/client"}}, "may not import"},
		"an estimator that reads files":                {file{path: "internal/estimate/x.go", dir: "internal/estimate", imports: []string{"os"}}, "may not import"},
		"a controller that imports another controller": {file{path: "internal/controller/a/x.go", dir: "internal/controller/a", imports: []string{module + "internal/controller/b"}}, "another controller"},
		"a controller that imports what is for tests":  {file{path: "internal/controller/a/x.go", dir: "internal/controller/a", imports: []string{module + "internal/testkit"}}, "for tests only"},
		"a package that stands in no room":             {file{path: "internal/utils/x.go", dir: "internal/utils"}, "stands in no room"},
		"a program that reaches around its assembly":   {file{path: "cmd/kaito-operator/main.go", dir: "cmd/kaito-operator", imports: []string{module + "internal/render"}}, "has no key"},
		"an API package with a dependency of its own":  {file{path: "api/v1beta1/x.go", dir: "api/v1beta1", imports: []string{"github.com/spf13/cobra"}}, "may import only"},
		"a main module that imports the local cluster": {file{path: "internal/cli/local/x.go", dir: "internal/cli/local", imports: []string{module + "localcluster/internal/node"}}, "stands in no room"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := violations([]file{tc.file})
			if len(got) != 1 || !strings.Contains(got[0], tc.want) {
				t.Errorf("got %q, want one violation that says %q", got, tc.want)
			}
		})
	}
	if diff := cmp.Diff([]string(nil), violations([]file{{path: "internal/render/x.go", dir: "internal/render", imports: []string{module + "internal/model", "fmt"}}})); diff != "" {
		t.Errorf("an allowed import is told (-want +got):\n%s", diff)
	}
}

// What a program links is asked of the go tool: packages come with packages of their own.
func TestProgramsContainNothingThatTheyDoNotNeed(t *testing.T) {
	t.Parallel()
	for program, forbidden := range links() {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+program)
			list.Dir = filepath.Join("..", "..")
			out, err := list.Output()
			if err != nil {
				t.Fatalf("%v: %v", list, err)
			}
			packages := strings.Fields(string(out))
			if !slices.Contains(packages, module+program) {
				t.Fatalf("the list of what %s contains is not whole: %q", program, out)
			}
			for _, linked := range packages {
				for folder, why := range forbidden {
					if within(linked, folder) {
						t.Errorf("%s contains %s: %s; `go list -deps -f '{{.ImportPath}} {{.Imports}}' ./%s` says who imports it", program, linked, why, program)
					}
				}
			}
		})
	}
}

// load reads the files itself instead of asking the go tool: go test's cache
// follows the files that a test opens, so a new violation is never missed.
func load(t *testing.T, root string) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel != "." && slices.Contains(foreign, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := file{path: rel, dir: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(rel, "_test.go")}
		for _, spec := range parsed.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imp)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d Go files below %q: the test looks at the wrong folder", len(files), root)
	}
	return files
}

func violations(files []file) []string {
	var out []string
	for _, f := range files {
		name := find(f.dir)
		if name == "" {
			out = append(out, fmt.Sprintf("%s: package %q stands in no room; give it a line in rooms.go that says what it is for, or put the code where its noun lives", f.path, f.dir))
			continue
		}
		for _, imp := range f.imports {
			if msg := judge(f, name, imp); msg != "" {
				out = append(out, fmt.Sprintf("%s: %s", f.path, msg))
			}
		}
	}
	return out
}

func judge(f file, name, imp string) string {
	r := rooms()[name]
	to, ours := strings.CutPrefix(imp, module)
	if ours {
		return judgeOurs(f, name, to, r)
	}
	if f.test { // tests may use what they need to look from outside
		return ""
	}
	if under(imp, r.bans) {
		return fmt.Sprintf("room %q may not import %q: it is an effect in a pure room; hand the value in", name, imp)
	}
	if r.only != nil && strings.Contains(strings.Split(imp, "/")[0], ".") && !under(imp, r.only) {
		return fmt.Sprintf("room %q may import only %v from outside, not %q", name, r.only, imp)
	}
	return ""
}

func judgeOurs(f file, name, to string, r room) string {
	target := find(to)
	switch {
	case target == "":
		return fmt.Sprintf("imports %q, which stands in no room of this module", to)
	case rooms()[target].closed && !f.test && target != name:
		return fmt.Sprintf("imports %q, which is for tests only", to)
	case f.test, to == f.dir:
		return ""
	case name == "internal/controller" && target == name && controller(f.dir) != controller(to):
		return fmt.Sprintf("imports another controller, %q: move what both need to where its noun lives", to)
	case target == name || under(to, r.keys):
		return ""
	}
	return fmt.Sprintf("room %q has no key to %q", name, target)
}

func controller(dir string) string {
	parts := strings.Split(dir, "/")
	return strings.Join(parts[:min(3, len(parts))], "/")
}

// find gives the longest room that dir stands in, or nothing.
func find(dir string) string {
	best := ""
	for name := range rooms() {
		if within(dir, name) && len(name) > len(best) {
			best = name
		}
	}
	return best
}

func prefixes(key string) bool {
	for name := range rooms() {
		if within(name, key) {
			return true
		}
	}
	return false
}

func under(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return within(path, f) })
}

// within says whether path is folder or stands below it. In the standard library
// only the very package counts: a ban of net is none of net/netip.
func within(path, folder string) bool {
	if path == folder {
		return true
	}
	stdlib := !strings.Contains(strings.Split(folder, "/")[0], ".") && slices.Contains(machineEffects(), folder)
	return !stdlib && strings.HasPrefix(path, folder+"/")
}
