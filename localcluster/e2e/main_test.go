// Package e2e runs the launcher for real: two clusters, pods, nodes that come and
// go, everything killed, and the machine compared before and after.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	programs = flag.String("programs", "", "folder of the cluster's programs (default: what `kaito-localcluster programs` builds)")
	dataRoot = flag.String("data-root", "/var/lib/kaito-local-e2e", "folder of the test clusters; it must not be in use")
)

// built is what TestMain makes for all tests.
var built struct{ dir, launcher, web string }

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("KAITO_E2E") != "1" {
		fmt.Println("e2e of the local cluster: left out; it needs root and some minutes: run it with KAITO_E2E=1")
		return
	}
	if os.Geteuid() != 0 {
		fmt.Println("e2e of the local cluster: it needs root")
		os.Exit(1)
	}
	code, err := build(m)
	if err != nil {
		fmt.Println("e2e of the local cluster:", err)
	}
	os.Exit(code)
}

func build(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "kaito-local-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	built.dir, built.launcher, built.web = dir, filepath.Join(dir, "kaito-localcluster"), filepath.Join(dir, "web")
	for out, pkg := range map[string]string{built.launcher: "../cmd/kaito-localcluster", built.web: "./web"} {
		c := exec.Command("go", "build", "-ldflags", "-s -w", "-o", out, pkg)
		c.Env = append(os.Environ(), "CGO_ENABLED=0") // the image holds nothing but the program
		if text, err := c.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build %s: %w: %s", pkg, err, text)
		}
	}
	if *programs == "" {
		c := exec.Command(built.launcher, "programs")
		c.Stderr = os.Stderr
		source, err := filepath.Abs("../..")
		if err != nil {
			return 1, err
		}
		c.Env = append(os.Environ(), "KAITO_SOURCE="+source)
		text, err := c.Output()
		if err != nil {
			return 1, fmt.Errorf("build the programs: %w", err)
		}
		*programs = string(text[:max(len(text)-1, 0)])
	}
	return m.Run(), nil
}
