// Package process starts the cluster's long-running programs and finds them
// again: a pid file holds the process id together with its start time, so that
// an id which another program got later is never taken for ours. A program is
// started through a small stage of our own (Stage) that joins the control group
// and writes the pid file before it becomes the program, so that nothing runs
// that a later command could not find, whenever the starter was killed.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"kaito.sh/kaito/localcluster/internal/record"
)

// Identity is one process of this boot.
type Identity struct {
	// Pid in the machine's PID namespace.
	Pid int
	// Start is its start time in clock ticks since boot.
	Start string
}

// proc is the machine's process file system.
const proc = "/proc"

// Self is the calling process as the mounted /proc counts it: the machine's
// number, also when the process is number 1 of a namespace of its own.
func Self() (Identity, error) {
	link, err := os.Readlink(filepath.Join(proc, "self"))
	if err != nil {
		return Identity{}, fmt.Errorf("find own process id: %w", err)
	}
	pid, err := strconv.Atoi(link)
	if err != nil {
		return Identity{}, fmt.Errorf("find own process id: %w", err)
	}
	start, alive := startTime(pid)
	if !alive {
		return Identity{}, fmt.Errorf("find own process id: no process %d under %s", pid, proc)
	}
	return Identity{Pid: pid, Start: start}, nil
}

// Save writes the pid file.
func (id Identity) Save(path string) error {
	return record.WriteFile(path, fmt.Appendf(nil, "%d %s\n", id.Pid, id.Start), 0o644)
}

// Find reads a pid file and answers whether its process runs. One that was killed
// and is still being taken down by the kernel does not.
func Find(path string) (Identity, bool) {
	id, there := read(path)
	return id, there && id.Alive() && !id.doomed()
}

// read answers the process that the pid file names, dead or alive.
func read(path string) (Identity, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Identity{}, false
	}
	pid, start, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 0 {
		return Identity{}, false
	}
	return Identity{Pid: n, Start: start}, true
}

// Forget removes a pid file.
func Forget(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget process of %q: %w", path, err)
	}
	return nil
}

// Alive is true while this very process exists.
func (id Identity) Alive() bool {
	start, alive := startTime(id.Pid)
	return alive && start == id.Start
}

const (
	exiting = 0x4                           // PF_EXITING of the kernel's process flags
	killed  = 1 << (uint(unix.SIGKILL) - 1) // a bit of a set of signals
)

// doomed is true for a process that has been killed but is not gone: a large
// one, or the first of a node, takes a while.
func (id Identity) doomed() bool {
	f, ok := stat(id.Pid)
	if !ok {
		return true
	}
	flags, err := strconv.ParseUint(f[6], 10, 64)
	if err != nil || flags&exiting != 0 {
		return true
	}
	status, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(id.Pid), "status"))
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(status)) {
		name, mask, _ := strings.Cut(line, ":")
		if name != "SigPnd" && name != "ShdPnd" {
			continue
		}
		if set, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64); err == nil && set&killed != 0 {
			return true
		}
	}
	return false
}

// startTime is field 22 of the stat file. A zombie does not count as alive.
func startTime(pid int) (string, bool) {
	f, ok := stat(pid)
	if !ok || f[0] == "Z" || f[0] == "X" {
		return "", false
	}
	return f[19], true
}

// stat are the fields of the stat file from the third, the state, on.
func stat(pid int) ([]string, bool) {
	b, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil, false
	}
	// The second field is the program's name, which may hold spaces and brackets.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	return f, len(f) > 20
}
