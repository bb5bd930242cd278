package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"kaito.sh/kaito/internal/oci/registrytest"
)

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
	d := registrytest.Start(t)
	const size = 24 << 20
	dir, back := testLayout(t, size), t.TempDir()
	wire := cutter(t, d.Addr, 10<<20)
	// One connection at a time, so that the cut hits the upload.
	through := &http.Transport{MaxConnsPerHost: 1, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, wire)
	}}
	_, err := New(Options{Transport: through, Chunk: 4 << 20}).Push(t.Context(), dir, d.Addr+"/kaito/m:x")
	if err == nil {
		t.Fatal("the cut went unnoticed")
	}
	d.Kill()
	d.Start(t)
	var last Progress
	c := New(Options{Chunk: 4 << 20, Sleep: (&naps{}).sleep, Report: func(p Progress) { last = p }})
	if _, err := c.Push(t.Context(), dir, d.Addr+"/kaito/m:x"); err != nil {
		t.Fatal(err)
	}
	if last.Skipped < 8<<20 {
		t.Errorf("went on from byte %d, two chunks had been accepted", last.Skipped)
	}
	if _, err := c.Pull(t.Context(), d.Addr+"/kaito/m:x", back); err != nil {
		t.Fatal(err)
	}
	sameLayers(t, dir, back)
}

func TestDistributionWantsCredentials(t *testing.T) {
	t.Parallel()
	d := registrytest.Start(t)
	dir := testLayout(t, 1000)
	var access *AccessError
	if _, err := New(Options{}).Push(t.Context(), dir, d.Addr+"/private/m:x"); !errors.As(err, &access) || access.Status != http.StatusUnauthorized {
		t.Errorf("without credentials: %v", err)
	}
	wrong, err := parseKeyring(fmt.Appendf(nil, `{"auths":{%q:{"username":"kaito","password":"wrong"}}}`, d.Addr))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Keychain: wrong}).Push(t.Context(), dir, d.Addr+"/private/m:x"); !errors.As(err, &access) {
		t.Errorf("with a wrong password: %v", err)
	}
	right, err := parseKeyring(fmt.Appendf(nil, `{"auths":{%q:{"username":"kaito","password":"secret"}}}`, d.Addr))
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{Keychain: right})
	if _, err := c.Push(t.Context(), dir, d.Addr+"/private/m:x"); err != nil {
		t.Errorf("with the right one: %v", err)
	}
	if _, err := c.Pull(t.Context(), d.Addr+"/private/m:x", t.TempDir()); err != nil {
		t.Errorf("pull: %v", err)
	}
}

func TestARegistryThatIsAwayIsNoFinalAnswer(t *testing.T) {
	t.Parallel()
	c := New(Options{Sleep: (&naps{}).sleep})
	for name, err := range map[string]error{
		"try a push": c.TryPush(t.Context(), "127.0.0.1:1/kaito/m:x"),
		"remove":     c.Delete(t.Context(), "127.0.0.1:1/kaito/m:x"),
	} {
		if err == nil || Final(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
