package preflight

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// listening is the state of a listening TCP socket in the kernel's table; a UDP
// socket that receives is in the other.
const (
	listening = "0A"
	receiving = "07"
)

// holder names the process that listens on the address, or on all addresses with
// its port. Another address with the same port is somebody else's good right.
func holder(address string) string {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return "another program"
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, err := os.ReadFile(filepath.Join("/proc/net", table))
		if err != nil {
			continue
		}
		for _, inode := range sockets(string(b), at) {
			if who := owner(inode); who != "" {
				return who
			}
		}
	}
	return "another program"
}

// sockets are the inodes of the sockets that wait at an address, in one of the
// kernel's tables (proc_net_tcp(5): addresses as hexadecimal words in the byte
// order of the machine, little-endian on all that Kubernetes runs on here).
func sockets(table string, at netip.AddrPort) []string {
	places := map[string]bool{}
	for _, a := range []netip.Addr{at.Addr(), netip.IPv4Unspecified(), netip.IPv6Unspecified(), netip.AddrFrom16(at.Addr().As16())} {
		places[fmt.Sprintf("%s:%04X", words(a), at.Port())] = true
	}
	var out []string
	for _, line := range strings.Split(table, "\n") {
		f := strings.Fields(line)
		if len(f) > 9 && places[f[1]] && (f[3] == listening || f[3] == receiving) {
			out = append(out, f[9])
		}
	}
	return out
}

// words writes an address as the kernel's tables do: each four bytes reversed.
func words(a netip.Addr) string {
	b := a.AsSlice()
	for i := 0; i+4 <= len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	return fmt.Sprintf("%X", b)
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
