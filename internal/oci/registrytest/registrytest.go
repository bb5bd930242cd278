// Package registrytest runs the local cluster's registry, CNCF Distribution as a
// process on loopback, for tests that must not believe a registry of their own.
package registrytest

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// User and Password open repositories below private/.
const (
	User     = "kaito"
	Password = "secret"
)

// bcrypt of Password.
const htpasswd = "kaito:$2a$05$z0aBic9LcGYIJ/JQNkwurulAApw.dn45OpJDBZ.ZWyLBrz04IHMWq\n"

// Registry is one registry with a folder of its own.
type Registry struct {
	// Addr is its host and port. Data is the folder with its content.
	Addr, Data string
	// Flags are further ones of the program, from the next start on: --read-only.
	Flags        []string
	program, dir string
	process      *exec.Cmd
}

// Start builds and starts a registry that ends with the test.
func Start(t *testing.T) *Registry {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the local cluster's registry, which takes a while")
	}
	dir := t.TempDir()
	r := &Registry{dir: dir, Data: filepath.Join(dir, "data"), program: filepath.Join(dir, "registry")}
	build := exec.Command("go", "build", "-o", r.program, "./cmd/registry")
	build.Dir = filepath.Join(root(t), "localcluster")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the registry: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "htpasswd"), []byte(htpasswd), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.Addr = l.Addr().String()
	l.Close()
	t.Cleanup(r.Kill)
	r.Start(t)
	return r
}

// root is the folder with go.mod above the one in which the test runs.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// Start starts it, also again after Kill, and waits until it answers.
func (r *Registry) Start(t *testing.T) {
	t.Helper()
	args := append([]string{"--addr", r.Addr, "--data", r.Data, "--htpasswd", filepath.Join(r.dir, "htpasswd")}, r.Flags...)
	r.process = exec.Command(r.program, args...)
	log, err := os.OpenFile(filepath.Join(r.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.process.Stderr = log
	if err := r.process.Start(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + r.Addr + "/v2/")
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(until) {
			text, _ := os.ReadFile(filepath.Join(r.dir, "log"))
			t.Fatalf("the registry does not answer: %v\n%s", err, text)
		}
	}
}

// Kill gives the registry no chance to tidy up.
func (r *Registry) Kill() {
	if r.process != nil {
		_ = r.process.Process.Kill()
		_ = r.process.Wait()
		r.process = nil
	}
}
