package process_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/process"
)

// buffer is a writer that two goroutines may use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func sh(t *testing.T, script string) (p *process.Process, out, err *buffer) {
	t.Helper()
	out, err = &buffer{}, &buffer{}
	p, startErr := process.Start(process.Spec{
		Command: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin", "GREETING=hello"},
		Stdout: out, Stderr: err,
	})
	if startErr != nil {
		t.Fatal(startErr)
	}
	t.Cleanup(func() { _ = p.Signal(syscall.SIGKILL) })
	return p, out, err
}

func TestOutputAndEndAreToldAsTheyWere(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script   string
		out, err string
		exit     process.Exit
		tail     []string
	}{
		"both streams and the code": {
			script: `echo $GREETING; echo oops >&2; exit 7`,
			out:    "hello\n", err: "oops\n", exit: process.Exit{Code: 7}, tail: []string{"hello", "oops"},
		},
		"a last line without end gets one": {
			script: `printf 'a\nb'`, out: "a\nb\n", tail: []string{"a", "b"},
		},
		"a signal": {
			script: `kill -9 $$`, exit: process.Exit{Code: -1, Signal: syscall.SIGKILL},
		},
		"a grandchild that holds the pipe does not hold back the end": {
			script: `sleep 60 & echo left; exit 3`, out: "left\n", exit: process.Exit{Code: 3}, tail: []string{"left"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, out, err := sh(t, tc.script)
			<-p.Done()
			if out.String() != tc.out || err.String() != tc.err {
				t.Errorf("output %q, %q; want %q, %q", out, err, tc.out, tc.err)
			}
			if p.Exit() != tc.exit {
				t.Errorf("exit %v, want %v", p.Exit(), tc.exit)
			}
			got := p.Tail()
			if len(got) == 2 && got[0] == "oops" { // the two streams have no order between them
				got[0], got[1] = got[1], got[0]
			}
			if diff := cmp.Diff(tc.tail, got); diff != "" {
				t.Errorf("tail (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTailIsBounded(t *testing.T) {
	t.Parallel()
	p, out, _ := sh(t, `i=0; while [ $i -lt 100 ]; do echo line $i; i=$((i+1)); done; head -c 200000 /dev/zero | tr '\0' x; echo`)
	<-p.Done()
	tail := p.Tail()
	if len(tail) != 40 || !strings.HasPrefix(tail[0], "line ") {
		t.Fatalf("%d lines, first %q", len(tail), tail[0])
	}
	for _, l := range tail {
		if len(l) > 410 {
			t.Fatalf("a line of %d bytes", len(l))
		}
	}
	if got := strings.Count(out.String(), "x"); got != 200000 {
		t.Errorf("%d of 200000 bytes of a long line were passed on", got)
	}
}

func TestStartOfAMissingProgramNamesIt(t *testing.T) {
	t.Parallel()
	_, err := process.Start(process.Spec{Command: []string{"/nowhere/llama-server"}})
	if err == nil || !strings.Contains(err.Error(), `start engine "/nowhere/llama-server"`) {
		t.Fatal(err)
	}
}

func TestStopAsksBeforeItKills(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script  string
		willing bool
	}{
		"a willing engine":  {`trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done`, true},
		"a stubborn engine": {`trap '' TERM; echo up; while :; do sleep 0.05; done`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, out, _ := sh(t, tc.script)
			eventually(t, func() bool { return out.String() == "up\n" })
			willing, err := p.Stop(300 * time.Millisecond)
			if err != nil || willing != tc.willing {
				t.Errorf("willing %v, %v; want %v", willing, err, tc.willing)
			}
		})
	}
}

// TestReaper runs itself as a child, because a reaper takes every child of its process.
func TestReaper(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=TestReaperHelper$", "-test.v")
	cmd.Env = append(os.Environ(), "REAPER_HELPER="+filepath.Join(t.TempDir(), "orphan"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "orphan was collected, engine ended with exit code 5") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestReaperHelper(t *testing.T) {
	note := os.Getenv("REAPER_HELPER")
	if note == "" {
		t.Skip("runs only as a child of TestReaper")
	}
	if err := process.AdoptOrphans(); err != nil {
		t.Fatal(err)
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	script := fmt.Sprintf(`(sleep 0.2 & echo $! >%[1]s.new; mv %[1]s.new %[1]s) ; trap 'exit 5' TERM; while :; do sleep 0.05; done`, note)
	p, _, _ := sh(t, script)
	stop := make(chan struct{})
	go process.Reap(children, stop, p.Pid())
	var orphan int
	eventually(t, func() bool {
		text, _ := os.ReadFile(note)
		orphan, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return orphan > 0
	})
	eventually(t, func() bool { return syscall.Kill(orphan, 0) == syscall.ESRCH })
	if _, err := p.Stop(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	close(stop)
	t.Logf("orphan was collected, engine %s", p.Exit())
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("did not happen within 5 s")
}
