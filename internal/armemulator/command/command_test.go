package command_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/armemulator/command"
)

// stream is written by the program while the test reads.
type stream struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func execute(ctx context.Context, out, errs *stream, args ...string) int {
	return command.Execute(ctx, command.World{Stdout: out, Stderr: errs, Long: "arm-emulator test", Clock: clock.RealClock{}}, args)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"help":                        {[]string{"--help"}, 0, "--identity 11111111"},
		"version":                     {[]string{"version"}, 0, "arm-emulator test"},
		"no folder":                   {nil, 2, "--dir: give a folder"},
		"an unknown flag":             {[]string{"--colour"}, 2, "See arm-emulator --help"},
		"a control API for everybody": {[]string{"--dir", "x", "--control", "0.0.0.0:1"}, 2, "--control"},
		"an address without a port":   {[]string{"--dir", "x", "--address", "localhost"}, 2, "--address"},
		"another kind of machine":     {[]string{"--dir", "x", "--machines", "steam"}, 2, `"memory" or "kubelets"`},
		"a quota in words":            {[]string{"--dir", "x", "--quota", "A=two"}, 2, "Family=number"},
		"an identity of a user":       {[]string{"--dir", "x", "--tenant", "t", "--identity", "a=system:user:b", "--kubeconfig", "k"}, 2, "system:serviceaccount:namespace:name"},
		"a tenant without keys":       {[]string{"--dir", "x", "--tenant", "t", "--identity", "a=system:serviceaccount:b:c"}, 2, "--kubeconfig and --jwks"},
		"an identity without tenant":  {[]string{"--dir", "x", "--identity", "a=system:serviceaccount:b:c"}, 2, "--tenant"},
		"keys without an issuer":      {[]string{"--dir", "x", "--tenant", "t", "--identity", "a=system:serviceaccount:b:c", "--jwks", "k"}, 2, "--issuer"},
	} {
		var out, errs stream
		if code := execute(t.Context(), &out, &errs, c.args...); code != c.code || !strings.Contains(out.String()+errs.String(), c.says) {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out.String(), errs.String())
		}
	}
	var out, errs stream
	if code := execute(t.Context(), &out, &errs, "--dir", t.TempDir(), "--faults", "/nowhere"); code != 1 || !strings.Contains(errs.String(), "/nowhere") {
		t.Errorf("a script that is not there: exit code %d, %s", code, errs.String())
	}
}

func TestItServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := filepath.Join(dir, "faults.json")
	if err := os.WriteFile(script, []byte(`[{"do": "refuse", "say": "throttled", "retryAfter": "1m"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	var authority []byte
	for round := range 2 { // the second time with what the first left
		ctx, stop := context.WithCancel(t.Context())
		var out, errs stream
		code := make(chan int, 1)
		go func() {
			code <- execute(ctx, &out, &errs, "--dir", dir, "--address", "127.0.0.1:0", "--control", "127.0.0.1:0", "--faults", script, "--subscription", "s")
		}()
		address := await(t, &errs, `msg=listening address=(\S+)`, code)
		control := await(t, &errs, `control API is on" address=(\S+)`, code)
		pem, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		if round == 1 && !bytes.Equal(pem, authority) {
			t.Error("the second start has another authority")
		}
		authority = pem
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}}
		for _, want := range []int{http.StatusTooManyRequests, http.StatusOK} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
				"https://"+address+"/subscriptions/s/resourceGroups/kaito/providers/Microsoft.ContainerService/managedClusters/kaito?api-version=2025-02-01", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer x")
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want || resp.ProtoMajor != 2 {
				t.Errorf("%s %s, want %d over HTTP/2", resp.Proto, resp.Status, want)
			}
		}
		resp, err := http.Get(fmt.Sprintf("http://%s/counts", control))
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("control: %v", err)
		} else {
			resp.Body.Close()
		}
		client.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		stop()
		if c := <-code; c != 0 || !strings.Contains(errs.String(), "msg=stopped") {
			t.Errorf("exit code %d\n%s", c, errs.String())
		}
	}
}

// await waits for a line of the log and gives what it says, or fails when the program has ended.
func await(t *testing.T, log *stream, pattern string, ended <-chan int) string {
	t.Helper()
	for {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(log.String()); found != nil {
			return found[1]
		}
		select {
		case code := <-ended:
			t.Fatalf("ended with code %d\n%s", code, log.String())
		case <-time.After(time.Millisecond):
		}
	}
}
