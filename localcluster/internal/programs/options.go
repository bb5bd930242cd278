package programs

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/utils/clock"
)

// Options says where the programs come from and where they are kept. The
// environment and the clock are read in cmd and handed in here.
type Options struct {
	// CacheDir is the cache of all of Kaito; the programs are kept below
	// CacheDir/programs.
	CacheDir string
	// SourceDir is the localcluster folder of a checkout.
	SourceDir string
	// GoProgram is the Go command, a name on PATH or a path. Empty means "go".
	GoProgram string
	// Env is the environment of the compiler, as os.Environ gives it. CGO_ENABLED,
	// GOFLAGS and GOWORK are set over it, because they are part of the key.
	Env []string
	// Out receives progress and the table of timings.
	Out io.Writer
	// Clock measures builds and paces progress.
	Clock clock.Clock
	// Parallel is the number of compilers at once; 0 means one for each CPU.
	Parallel int
	// Names limits the work to these programs (and what is built with them);
	// empty means all.
	Names []string
}

// withDefaults returns the options with what may be left out filled in, or an
// error that names what may not.
func (o Options) withDefaults() (Options, error) {
	if o.GoProgram == "" {
		o.GoProgram = "go"
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Clock == nil {
		return o, errors.New("programs: no clock was given")
	}
	if !filepath.IsAbs(o.CacheDir) {
		return o, fmt.Errorf("cache folder %q: not an absolute path; set KAITO_CACHE or HOME", o.CacheDir)
	}
	source, err := filepath.Abs(o.SourceDir)
	if err != nil {
		return o, fmt.Errorf("find source folder %q: %w", o.SourceDir, err)
	}
	o.SourceDir = source
	return o, nil
}

// root is the folder that holds everything of this package.
func (o Options) root() string { return filepath.Join(o.CacheDir, "programs") }

// recipes returns the recipes that build the wanted programs.
func (o Options) recipes() ([]recipe, error) {
	if len(o.Names) == 0 {
		return recipes, nil
	}
	var wanted []recipe
	for _, r := range recipes {
		if slices.ContainsFunc(o.Names, r.builds) {
			wanted = append(wanted, r)
		}
	}
	for _, name := range o.Names {
		if !slices.ContainsFunc(wanted, func(r recipe) bool { return r.builds(name) }) {
			return nil, fmt.Errorf("program %q is not one of %s", name, strings.Join(Names(), ", "))
		}
	}
	return wanted, nil
}

// Names lists every program and link that Ensure makes, sorted.
func Names() []string {
	var names []string
	for _, r := range recipes {
		names = append(names, r.programs()...)
		names = append(names, r.links...)
	}
	slices.Sort(names)
	return names
}
