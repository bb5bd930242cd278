package preflight

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// listening is the state of a listening TCP socket in the kernel's table; a UDP
// socket that receives is in the other.
const (
	listening = "0A"
	receiving = "07"
)

// holder names the process that listens on the port of the address.
func holder(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "another program"
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return "another program"
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, err := os.ReadFile(filepath.Join("/proc/net", table))
		if err != nil {
			continue
		}
		for _, inode := range sockets(string(b), n) {
			if who := owner(inode); who != "" {
				return who
			}
		}
	}
	return "another program"
}

// sockets are the inodes of the sockets that wait on a port, in one of the kernel's tables.
func sockets(table string, port int) []string {
	suffix := fmt.Sprintf(":%04X", port)
	var out []string
	for _, line := range strings.Split(table, "\n") {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], suffix) && (f[3] == listening || f[3] == receiving) {
			out = append(out, f[9])
		}
	}
	return out
}

// owner finds the process that holds a socket.
func owner(inode string) string {
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, fd := range fds {
		link, err := os.Readlink(fd)
		if err != nil || link != "socket:["+inode+"]" {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		comm, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		if err != nil {
			return "process " + pid
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(comm)), pid)
	}
	return ""
}
