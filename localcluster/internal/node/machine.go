package node

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"kaito.sh/kaito/localcluster/internal/render"
)

// MachineFacts looks up what a node can have at most, the way the kubelet counts.
func MachineFacts() (render.Machine, error) {
	cpus, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return render.Machine{}, fmt.Errorf("count the machine's CPUs: %w", err)
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return render.Machine{}, fmt.Errorf("read the machine's memory: %w", err)
	}
	return render.Machine{
		MilliCPU: int64(bytes.Count(append([]byte{'\n'}, cpus...), []byte("\nprocessor"))) * 1000,
		Memory:   int64(info.Totalram) * int64(info.Unit),
	}, nil
}
