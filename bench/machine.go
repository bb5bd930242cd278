package main

import (
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine says where the figures were taken.
func machine() map[string]string {
	return map[string]string{
		"cpu":    first(`(?m)^model name\s*:\s*(.*)$`, "/proc/cpuinfo"),
		"cores":  strconv.Itoa(runtime.NumCPU()),
		"load":   first(`^(\S+ \S+ \S+)`, "/proc/loadavg"),
		"kernel": strings.TrimSpace(runtime.GOOS + " " + first(`^(\S+)`, "/proc/sys/kernel/osrelease")),
		"memory": first(`(?m)^MemTotal:\s*(.*)$`, "/proc/meminfo"),
		"go":     runtime.Version(),
	}
}

// first is the first match in a file, "unknown" where there is none.
func first(pattern, file string) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	m := regexp.MustCompile(pattern).FindSubmatch(raw)
	if m == nil {
		return "unknown"
	}
	return string(m[1])
}

// stopwatch measures wall and CPU time of this process.
type stopwatch struct {
	now  func() time.Time
	wall time.Time
	cpu  time.Duration
}

func startWatch(now func() time.Time) func() stopwatch {
	return func() stopwatch { return stopwatch{now: now, wall: now(), cpu: used()} }
}

// stop returns what passed and what was used.
func (s stopwatch) stop() (wall, cpu time.Duration) {
	return s.now().Sub(s.wall), used() - s.cpu
}

// used is the CPU time of this process, user and system.
func used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
