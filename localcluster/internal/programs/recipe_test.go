package programs

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The key of a recipe must see every source of ours that goes into it, or a change
// would leave an old program in use.
func TestSourcesHoldEveryImportOfOurs(t *testing.T) {
	t.Parallel()
	const root = "../.."
	for _, r := range recipes {
		module := localcluster
		if r.module != "" {
			module += "/" + r.module
		}
		for _, p := range r.packages {
			dir, ours := strings.CutPrefix(p, module+"/")
			if ours && !slices.Contains(r.sources, dir) {
				t.Errorf("%s: sources lack %s", r.name, dir)
			}
		}
		for _, dir := range r.sources {
			for _, imported := range imports(t, filepath.Join(root, r.module, dir)) {
				dir, ours := strings.CutPrefix(imported, module+"/")
				if ours && !slices.Contains(r.sources, dir) {
					t.Errorf("%s: sources lack %s, which %s imports", r.name, dir, r.name)
				}
			}
		}
	}
}

// imports lists what the programs (not the tests) of a folder import.
func imports(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			list = append(list, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Versions come from the real go.mod: a stamp for a module that is not there would
// be empty.
func TestStampsAreVersions(t *testing.T) {
	t.Parallel()
	m, err := readModule("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recipes {
		for _, s := range r.stamps {
			if m.versions[s.module] == "" {
				t.Errorf("%s: go.mod does not name %s", r.name, s.module)
			}
		}
	}
	flags := strings.Join(recipes[0].flags(m.versions), " ")
	if !strings.Contains(flags, "gitVersion=v1.") || !strings.Contains(flags, "gitMajor=1 ") {
		t.Errorf("flags of hyperkube: %s", flags)
	}
}

func TestVersionParts(t *testing.T) {
	t.Parallel()
	for part, want := range map[versionPart]string{whole: "v1.37.2", major: "1", minor: "37", plain: "1.37.2"} {
		if got := part.of("v1.37.2"); got != want {
			t.Errorf("part %d: %q, want %q", part, got, want)
		}
	}
}

func TestCPUTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stat string
		want time.Duration
	}{
		"a name with brackets and spaces": {"7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 1000 200 20 0", 14 * time.Second},
		"a line that is cut":              {"7 (go) S 1 7", 0},
		"a line that is none":             {"", 0},
	} {
		if got := parseCPU(c.stat); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestPackagesAreCounted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	c := &counter{w: &out}
	text := "go: downloading a/b v1\na/b/c\nunsafe\n# a/b\nx.go:1:1: wrong\nd/e\n"
	for _, half := range []string{text[:25], text[25:]} {
		if _, err := c.Write([]byte(half)); err != nil {
			t.Fatal(err)
		}
	}
	if c.packages() != 3 || out.String() != text {
		t.Errorf("counted %d, passed %q", c.packages(), out.String())
	}
}

func TestTailKeepsTheMessages(t *testing.T) {
	t.Parallel()
	got := tail("cd /x && env\na/b\n# c/d\nx.go:1: wrong\n")
	if diff := cmp.Diff("  cd /x && env\n  # c/d\n  x.go:1: wrong", got); diff != "" {
		t.Error(diff)
	}
	if got := tail(strings.Repeat("a b\n", 100)); strings.Count(got, "\n") != tailLines-1 {
		t.Errorf("%d lines", strings.Count(got, "\n")+1)
	}
}
