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

// Find reads a pid file and answers whether its process lives.
func Find(path string) (Identity, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Identity{}, false
	}
	pid, start, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 0 {
		return Identity{}, false
	}
	id := Identity{Pid: n, Start: start}
	return id, id.Alive()
}

// Forget removes a pid file.
func Forget(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget process of %q: %w", path, err)
	}
	return nil
}

// Alive is true while this very process runs.
func (id Identity) Alive() bool {
	start, alive := startTime(id.Pid)
	return alive && start == id.Start
}

// startTime is field 22 of the stat file. A zombie does not count as alive.
func startTime(pid int) (string, bool) {
	b, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", false
	}
	// The second field is the program's name, which may hold spaces and brackets.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return "", false
	}
	return f[19], true
}
