// Command measure prints how the hand-written Go code of this repository reads:
// lengths of files and functions, complexity, documentation and dependencies, so
// that a review can see where a change made the code harder to follow.
package main

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fzipp/gocyclo"
	"github.com/uudashr/gocognit"
)

func main() {
	root := flag.String("root", ".", "folder of the repository")
	top := flag.Int("top", 5, "how many of the longest functions and files to name")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "measure prints the code's own figures.\n\nExample:\n  go -C tools run ./measure -root ..\n\nFlags:")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(os.Stdout, *root, *top); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

// figure is one measured thing and where it stands.
type figure struct {
	value int
	where string
}

// code is what was read of one kind of files, shipped or tests.
type code struct {
	lines                         int
	files, functions              []figure
	cyclomatic, cognitive         []figure
	exported, documented, globals int
	packages, described           map[string]bool
}

func run(out io.Writer, root string, top int) error {
	shipped, tests := newCode(), newCode()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || slices.Contains([]string{"testdata", "bin", "node_modules"}, d.Name())):
			return filepath.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasPrefix(d.Name(), "zz_"):
			return nil
		case isTest(path):
			return tests.read(root, path)
		default:
			return shipped.read(root, path)
		}
	})
	if err != nil {
		return err
	}
	if len(shipped.files) == 0 {
		return errors.New("no Go files below " + root)
	}
	report(out, shipped, tests, top)
	return nil
}

func newCode() *code {
	return &code{packages: map[string]bool{}, described: map[string]bool{}}
}

func isTest(path string) bool {
	return strings.HasSuffix(path, "_test.go") || slices.ContainsFunc(strings.Split(filepath.ToSlash(path), "/"), func(p string) bool {
		return p == "e2e" || p == "testkit" || p == "test"
	})
}

func (c *code) read(root, path string) error {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	if ast.IsGenerated(f) {
		return nil
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	lines := set.Position(f.End()).Line
	c.lines += lines
	c.files = append(c.files, figure{lines, rel})
	c.packages[filepath.Dir(rel)] = true
	if f.Doc != nil {
		c.described[filepath.Dir(rel)] = true
	}
	for _, s := range gocyclo.AnalyzeASTFile(f, set, nil) {
		c.cyclomatic = append(c.cyclomatic, figure{s.Complexity, rel + " " + s.FuncName})
	}
	for _, s := range gocognit.ComplexityStats(f, set, nil) {
		c.cognitive = append(c.cognitive, figure{s.Complexity, rel + " " + s.FuncName})
	}
	for _, d := range f.Decls {
		c.declaration(set, rel, d)
	}
	return nil
}

func (c *code) declaration(set *token.FileSet, rel string, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		length := set.Position(d.End()).Line - set.Position(d.Pos()).Line + 1
		c.functions = append(c.functions, figure{length, rel + " " + d.Name.Name})
		c.count(d.Name.IsExported(), d.Doc)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				doc := s.Doc
				if doc == nil {
					doc = d.Doc
				}
				c.count(s.Name.IsExported(), doc)
			case *ast.ValueSpec:
				if d.Tok == token.VAR && s.Names[0].Name != "_" {
					c.globals++
				}
			}
		}
	}
}

func (c *code) count(exported bool, doc *ast.CommentGroup) {
	if !exported {
		return
	}
	c.exported++
	if doc != nil {
		c.documented++
	}
}

func report(out io.Writer, shipped, tests *code, top int) {
	row := func(name, format string, values ...any) {
		fmt.Fprintf(out, "%-44s %s\n", name, fmt.Sprintf(format, values...))
	}
	row("Go lines, shipped / tests", "%d / %d (%.1f test lines a shipped line)", shipped.lines, tests.lines, float64(tests.lines)/float64(shipped.lines))
	row("files, shipped", "%d in %d packages, %d with a package comment", len(shipped.files), len(shipped.packages), len(shipped.described))
	row("file length, mean / median / p95 / max", "%s", spread(shipped.files))
	row("files above 300 / above 500 lines", "%d / %d", above(shipped.files, 300), above(shipped.files, 500))
	row("function length, mean / median / p95 / max", "%s", spread(shipped.functions))
	row("functions above 80 lines", "%d", above(shipped.functions, 80))
	row("cyclomatic, mean / median / p95 / max", "%s", spread(shipped.cyclomatic))
	row("functions above cyclomatic 12", "%d", above(shipped.cyclomatic, 12))
	row("cognitive, mean / median / p95 / max", "%s", spread(shipped.cognitive))
	row("functions above cognitive 20", "%d", above(shipped.cognitive, 20))
	row("exported functions and types documented", "%d of %d", shipped.documented, shipped.exported)
	row("package-level variables", "%d", shipped.globals)
	row("test file length, mean / median / p95 / max", "%s", spread(tests.files))
	list(out, "longest files", largest(shipped.files, top))
	list(out, "longest functions", largest(shipped.functions, top))
}

func list(out io.Writer, title string, figures []figure) {
	fmt.Fprintf(out, "\n%s\n", title)
	for _, f := range figures {
		fmt.Fprintf(out, "  %4d  %s\n", f.value, f.where)
	}
}

func largest(figures []figure, n int) []figure {
	sorted := slices.Clone(figures)
	slices.SortStableFunc(sorted, func(a, b figure) int { return b.value - a.value })
	return sorted[:min(n, len(sorted))]
}

func above(figures []figure, limit int) int {
	n := 0
	for _, f := range figures {
		if f.value > limit {
			n++
		}
	}
	return n
}

func spread(figures []figure) string {
	if len(figures) == 0 {
		return "none"
	}
	s, sum := largest(figures, len(figures)), 0
	for _, f := range s {
		sum += f.value
	}
	return fmt.Sprintf("%.0f / %d / %d / %d", float64(sum)/float64(len(s)), s[len(s)/2].value, s[len(s)/20].value, s[0].value)
}
