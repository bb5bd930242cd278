package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"kaito.sh/kaito/localcluster/internal/clock"
	"kaito.sh/kaito/localcluster/internal/process"
)

// child runs a program until the test ends, and notes it in a pid file.
func child(t *testing.T, argv ...string) (pidFile string, cmd *exec.Cmd) {
	t.Helper()
	cmd = exec.Command(argv[0], argv[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var skip, start string
	if _, err := fmt.Sscanf(string(stat), "%s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s %s",
		&skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip,
		&skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &skip, &start); err != nil {
		t.Fatal(err)
	}
	pidFile = filepath.Join(t.TempDir(), "pid")
	if err := (process.Identity{Pid: cmd.Process.Pid, Start: start}).Save(pidFile); err != nil {
		t.Fatal(err)
	}
	return pidFile, cmd
}

func starter() *process.Starter {
	return process.NewStarter(nil, nil, clock.Clock{Now: time.Now, After: time.After})
}

func TestSelfIsFoundAgain(t *testing.T) {
	t.Parallel()
	self, err := process.Self()
	if err != nil || self.Pid != os.Getpid() {
		t.Fatalf("got %+v, %v; want process %d", self, err, os.Getpid())
	}
	path := filepath.Join(t.TempDir(), "pid")
	if err := self.Save(path); err != nil {
		t.Fatal(err)
	}
	if got, runs := process.Find(path); !runs || got != self {
		t.Errorf("found %+v, %v", got, runs)
	}
}

func TestAnotherProcessOfTheSameNumberIsNotOurs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pid")
	if err := (process.Identity{Pid: os.Getpid(), Start: "1"}).Save(path); err != nil {
		t.Fatal(err)
	}
	if _, runs := process.Find(path); runs {
		t.Error("a process that started at another time was taken for ours")
	}
	if _, err := starter().Stop(t.Context(), path, time.Second); err != nil {
		t.Fatal(err) // and this test still runs: nothing was signalled
	}
}

func TestUnreadablePidFilesNameNobody(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "x", "0 1", "-1 1", "12"} {
		path := filepath.Join(t.TempDir(), "pid")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, runs := process.Find(path); runs {
			t.Errorf("%q names a process", content)
		}
	}
}

func TestAKilledProcessDoesNotRun(t *testing.T) {
	t.Parallel()
	pidFile, cmd := child(t, "sleep", "60")
	if _, runs := process.Find(pidFile); !runs {
		t.Fatal("it does not run")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, runs := process.Find(pidFile); runs { // at once: before the kernel is done and before anybody waited
		t.Error("a killed process counts as running")
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		argv   []string
		forced bool
	}{
		"one that listens ends by itself": {argv: []string{"sleep", "60"}},
		"one that does not is forced":     {argv: []string{"sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"}, forced: true},
		"a stopped one wakes up to end":   {argv: []string{"sh", "-c", "kill -STOP $$; sleep 60"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pidFile, cmd := child(t, tc.argv...)
			go func() { _ = cmd.Wait() }()
			time.Sleep(300 * time.Millisecond) // until the shell has set its trap
			forced, err := starter().Stop(t.Context(), pidFile, time.Second)
			if err != nil || forced != tc.forced {
				t.Errorf("forced %v, %v; want %v", forced, err, tc.forced)
			}
			if _, err := os.Stat(pidFile); err == nil {
				t.Error("the pid file is still there")
			}
		})
	}
}

func TestALargeLogIsMovedAside(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log", "x.log")
	for _, size := range []int64{1, 33 << 20} {
		f, err := process.OpenLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f, err := process.OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || fi.Size() != 0 {
		t.Errorf("the new log has %d bytes, %v", fi.Size(), err)
	}
	if fi, err := os.Stat(path + ".1"); err != nil || fi.Size() != 33<<20 {
		t.Errorf("the old log: %v", err)
	}
}
