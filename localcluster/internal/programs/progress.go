package programs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A counter passes the compiler's output to its log and counts the packages that
// it names.
type counter struct {
	w io.Writer

	mu    sync.Mutex
	line  []byte
	count int
}

// Write counts whole lines and passes everything on.
func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest := p; len(rest) > 0; {
		head, tail, whole := bytes.Cut(rest, []byte("\n"))
		c.line = append(c.line, head...)
		if whole {
			if packageName(string(c.line)) {
				c.count++
			}
			c.line = c.line[:0]
		}
		rest = tail
	}
	return c.w.Write(p)
}

func (c *counter) packages() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// packageName tells a line of "go build -v" from a message: an import path has no
// spaces and no colon, and a message always has one.
func packageName(line string) bool {
	return line != "" && !strings.ContainsAny(line, " \t:")
}

// watch prints a line now and then, so that nobody takes a long build for a dead
// one.
func watch(o Options, name string, pid int, c *counter, done <-chan struct{}) {
	start := o.Clock.Now()
	for {
		select {
		case <-done:
			return
		case <-o.Clock.After(progressPause):
			fmt.Fprintf(o.Out, "  %s: %s, %s of CPU, %d packages compiled\n",
				name, round(o.Clock.Since(start)), round(cpuTime(pid)), c.packages())
		}
	}
}

// ticksPerSecond is the unit of times in /proc on every Linux that Go runs on.
const ticksPerSecond = 100

// cpuTime is what a process and its ended children have used so far, or 0 when
// /proc does not tell.
func cpuTime(pid int) time.Duration {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return parseCPU(string(content))
}

// parseCPU adds utime, stime, cutime and cstime of a line of /proc/<pid>/stat. The
// program's name stands in brackets and may hold anything, so fields count from
// the last bracket.
func parseCPU(stat string) time.Duration {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const first, last = 11, 14 // utime is field 14 of the line, state is field 3
	if len(fields) <= last {
		return 0
	}
	var ticks int64
	for _, f := range fields[first : last+1] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}
