package programs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"os/exec"
	"strings"
)

// A toolchain is the Go compiler that the builds use, in its own words.
type toolchain struct {
	Version  string `json:"GOVERSION"`
	OS       string `json:"GOOS"`
	Arch     string `json:"GOARCH"`
	Cache    string `json:"GOCACHE"`
	Modules  string `json:"GOMODCACHE"`
	Compiler string `json:"CC"`
}

// findToolchain asks the Go command about itself and refuses one that is too old
// for the module.
func findToolchain(ctx context.Context, o Options, m module) (toolchain, error) {
	var tc toolchain
	path, err := exec.LookPath(o.GoProgram)
	if err != nil {
		return tc, fmt.Errorf("find the Go compiler %q: %w; install Go %s or newer (https://go.dev/dl) and put it on PATH",
			o.GoProgram, errors.Unwrap(err), m.goLine)
	}
	cmd := exec.CommandContext(ctx, path, "env", "-json", "GOVERSION", "GOOS", "GOARCH", "GOCACHE", "GOMODCACHE", "CC")
	cmd.Dir = m.dir
	cmd.Env = append(o.Env[:len(o.Env):len(o.Env)], "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return tc, fmt.Errorf("ask %s for its version: %w: %s", path, err, strings.TrimSpace(stderr.String()))
	}
	if err := json.Unmarshal(out, &tc); err != nil {
		return tc, fmt.Errorf("read the answer of %s env: %w", path, err)
	}
	if version.Compare(tc.Version, "go"+m.goLine) < 0 {
		return tc, fmt.Errorf("%s is %s, and the programs need go%s or newer: install it (https://go.dev/dl), or set GOTOOLCHAIN=auto so that Go fetches it",
			path, tc.Version, m.goLine)
	}
	return tc, nil
}
