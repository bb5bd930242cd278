package ending

import (
	"bufio"
	"io/fs"
	"strconv"
	"strings"
)

// memoryEvents are where cgroup v2 and v1 count the kills of a container for memory,
// below /sys/fs/cgroup as the container sees it.
func memoryEvents() []string {
	return []string{"memory.events", "memory/memory.oom_control"}
}

// MemoryKills counts how often the kernel killed a process of this container for
// memory; it is 0 where the kernel does not say.
func MemoryKills(cgroup fs.FS) int {
	for _, name := range memoryEvents() {
		f, err := cgroup.Open(name)
		if err != nil {
			continue
		}
		defer func() { _ = f.Close() }()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			key, value, _ := strings.Cut(lines.Text(), " ")
			if n, err := strconv.Atoi(value); key == "oom_kill" && err == nil {
				return n
			}
		}
	}
	return 0
}
