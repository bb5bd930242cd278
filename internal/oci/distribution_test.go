package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// distribution is the local cluster's registry, a program of the module beside
// this one, as a process on loopback.
type distribution struct {
	program, dir, addr string
	process            *exec.Cmd
}

// bcrypt of "secret".
const htpasswd = "kaito:$2a$05$z0aBic9LcGYIJ/JQNkwurulAApw.dn45OpJDBZ.ZWyLBrz04IHMWq\n"

func newDistribution(t *testing.T) *distribution {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the local cluster's registry, which takes a while")
	}
	d := &distribution{dir: t.TempDir()}
	d.program = filepath.Join(d.dir, "registry")
	build := exec.Command("go", "build", "-o", d.program, "./cmd/registry")
	build.Dir = filepath.Join("..", "..", "localcluster")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the registry: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "htpasswd"), []byte(htpasswd), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	l.Close()
	t.Cleanup(d.kill)
	d.start(t)
	return d
}

func (d *distribution) start(t *testing.T) {
	t.Helper()
	d.process = exec.Command(d.program, "--addr", d.addr, "--data", filepath.Join(d.dir, "data"), "--htpasswd", filepath.Join(d.dir, "htpasswd"))
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	d.process.Stderr = log
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + d.addr + "/v2/")
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(until) {
			text, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			t.Fatalf("the registry does not answer: %v\n%s", err, text)
		}
	}
}

// kill gives the registry no chance to tidy up.
func (d *distribution) kill() {
	if d.process != nil {
		d.process.Process.Kill()
		d.process.Wait()
		d.process = nil
	}
}

// cutter is a wire to addr that is cut after so many bytes towards it.
func cutter(t *testing.T, addr string, after int64) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for left := after; left > 0; {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				in.Close()
				return
			}
			go io.Copy(in, out)
			n, _ := io.Copy(out, io.LimitReader(in, left))
			left -= n
			in.Close()
			out.Close()
		}
		l.Close()
	}()
	return l.Addr().String()
}

func TestDistributionGoesOnAfterACutAndAKill(t *testing.T) {
	t.Parallel()
	d := newDistribution(t)
	const size = 24 << 20
	dir, back := testLayout(t, size), t.TempDir()
	wire := cutter(t, d.addr, 10<<20)
	// One connection at a time, so that the cut hits the upload.
	through := &http.Transport{MaxConnsPerHost: 1, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, wire)
	}}
	_, err := New(Options{Transport: through, Chunk: 4 << 20}).Push(t.Context(), dir, d.addr+"/kaito/m:x")
	if err == nil {
		t.Fatal("the cut went unnoticed")
	}
	d.kill()
	d.start(t)
	var last Progress
	c := New(Options{Chunk: 4 << 20, Sleep: (&naps{}).sleep, Report: func(p Progress) { last = p }})
	if _, err := c.Push(t.Context(), dir, d.addr+"/kaito/m:x"); err != nil {
		t.Fatal(err)
	}
	if last.Skipped < 8<<20 {
		t.Errorf("went on from byte %d, two chunks had been accepted", last.Skipped)
	}
	if _, err := c.Pull(t.Context(), d.addr+"/kaito/m:x", back); err != nil {
		t.Fatal(err)
	}
	sameLayers(t, dir, back)
}

func TestDistributionWantsCredentials(t *testing.T) {
	t.Parallel()
	d := newDistribution(t)
	dir := testLayout(t, 1000)
	var access *AccessError
	if _, err := New(Options{}).Push(t.Context(), dir, d.addr+"/private/m:x"); !errors.As(err, &access) || access.Status != http.StatusUnauthorized {
		t.Errorf("without credentials: %v", err)
	}
	wrong, err := parseKeyring(fmt.Appendf(nil, `{"auths":{%q:{"username":"kaito","password":"wrong"}}}`, d.addr))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Keychain: wrong}).Push(t.Context(), dir, d.addr+"/private/m:x"); !errors.As(err, &access) {
		t.Errorf("with a wrong password: %v", err)
	}
	right, err := parseKeyring(fmt.Appendf(nil, `{"auths":{%q:{"username":"kaito","password":"secret"}}}`, d.addr))
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{Keychain: right})
	if _, err := c.Push(t.Context(), dir, d.addr+"/private/m:x"); err != nil {
		t.Errorf("with the right one: %v", err)
	}
	if _, err := c.Pull(t.Context(), d.addr+"/private/m:x", t.TempDir()); err != nil {
		t.Errorf("pull: %v", err)
	}
}
