package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// diskNeeded is what any build needs; less fails half-way for sure.
	diskNeeded = 2 << 30
	// diskAdvised holds the compiler's cache, the modules and the programs of a
	// build from nothing.
	diskAdvised = 9 << 30
)

// preflight finds what would make a build fail, before minutes have gone into it.
func preflight(ctx context.Context, o Options, tc toolchain, missing []entry) error {
	if slices.ContainsFunc(missing, func(e entry) bool { return e.recipe.static }) {
		if err := checkC(ctx, o, tc); err != nil {
			return err
		}
	}
	var errs []error
	for _, dir := range []string{o.root(), tc.Cache} {
		errs = append(errs, checkDisk(o, dir))
	}
	return errors.Join(errs...)
}

// checkC looks for what runc, the only program with C in it, is built with.
func checkC(ctx context.Context, o Options, tc toolchain) error {
	const remedy = "runc is built with a C compiler and libseccomp: apt-get install -y --no-install-recommends gcc libc6-dev pkg-config libseccomp-dev"
	compiler := strings.Fields(tc.Compiler + " gcc")[0]
	for _, tool := range []string{compiler, "pkg-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("find %s: %w; %s", tool, errors.Unwrap(err), remedy)
		}
	}
	cmd := exec.CommandContext(ctx, "pkg-config", "--print-errors", "--exists", "libseccomp")
	cmd.Env = o.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("find libseccomp: %w: %s; %s", err, firstLine(string(out)), remedy)
	}
	return nil
}

// checkDisk refuses a folder whose disk is nearly full and warns when a build from
// nothing would fill it.
func checkDisk(o Options, dir string) error {
	existing := dir
	for {
		if _, err := os.Stat(existing); err == nil || existing == filepath.Dir(existing) {
			break
		}
		existing = filepath.Dir(existing)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(existing, &s); err != nil {
		return fmt.Errorf("ask for the free space at %s: %w", existing, err)
	}
	free := s.Bavail * uint64(s.Bsize)
	switch {
	case free < diskNeeded:
		return fmt.Errorf("build into %s: only %s free, and a build from nothing needs about %s; make room, or point KAITO_CACHE and GOCACHE at a larger disk",
			dir, size(int64(free)), size(diskAdvised))
	case free < diskAdvised:
		fmt.Fprintf(o.Out, "warning: %s has %s free; a build from nothing needs about %s\n", dir, size(int64(free)), size(diskAdvised))
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
