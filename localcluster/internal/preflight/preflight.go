// Package preflight looks whether this machine can carry a cluster before
// anything is changed on it, and says what to do where it cannot.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// SearchPath is where a node's programs find those of the machine.
const SearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Root answers whether the user may make namespaces, links and control groups.
func Root(uid int) error {
	if uid == 0 {
		return nil
	}
	return fmt.Errorf("a local cluster needs root (this is user %d): run the command with sudo, or use another cluster through its kubeconfig", uid)
}

// Disk answers whether the file system that will hold path has so many bytes free.
func Disk(path string, least int64) error {
	at := path
	for {
		if _, err := os.Stat(at); err == nil {
			break
		}
		if at == filepath.Dir(at) {
			return fmt.Errorf("look for room at %q: no such file system", path)
		}
		at = filepath.Dir(at)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(at, &s); err != nil {
		return fmt.Errorf("look for room at %q: %w", path, err)
	}
	free := int64(s.Bavail) * s.Bsize
	if free >= least {
		return nil
	}
	return fmt.Errorf("%s has %.1f GiB free and a cluster wants %.1f GiB: free some, choose another disk with --data-root, or accept less with --min-disk",
		at, gib(free), gib(least))
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }

// needs are programs of the machine, with the Debian package that brings them.
func needs() []struct{ program, pkg string } {
	return []struct{ program, pkg string }{{"nft", "nftables"}, {"mount", "mount"}, {"umount", "mount"}}
}

// HostPrograms answers whether what kubelet and kube-proxy call is there.
func HostPrograms(search string) error {
	var missing, pkgs []string
	for _, n := range needs() {
		if !found(search, n.program) {
			missing, pkgs = append(missing, n.program), append(pkgs, n.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("this machine lacks %s: apt-get install %s", strings.Join(missing, ", "), strings.Join(pkgs, " "))
}

func found(search, program string) bool {
	for _, dir := range filepath.SplitList(search) {
		if executable(filepath.Join(dir, program)) {
			return true
		}
	}
	return false
}

func executable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// Programs answers whether the folder holds every program of a cluster.
func Programs(dir string, names []string) error {
	var missing []string
	for _, n := range names {
		if !executable(filepath.Join(dir, n)) {
			missing = append(missing, n)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("the programs in %q are not complete, %s is missing: run `kaito-localcluster programs`, or give another folder with --programs",
		dir, strings.Join(missing, ", "))
}

// PortError says that somebody listens where a component wants to.
type PortError struct {
	// Component that wants to listen at Address.
	Component, Address string
	// Holder is who listens, in words.
	Holder string
}

// Error says who it is and what to do.
func (e *PortError) Error() string {
	return fmt.Sprintf("%s cannot listen on %s: %s has it; stop that program, or have it listen on its own address only", e.Component, e.Address, e.Holder)
}

// Port answers whether a component can listen there, over TCP and UDP.
func Port(ctx context.Context, component, address string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err == nil {
		err = l.Close()
	}
	if err == nil {
		var p net.PacketConn
		if p, err = lc.ListenPacket(ctx, "udp", address); err == nil {
			err = p.Close()
		}
	}
	if errors.Is(err, unix.EADDRINUSE) {
		return &PortError{Component: component, Address: address, Holder: holder(address)}
	}
	if err != nil {
		return fmt.Errorf("try port %s for %s: %w", address, component, err)
	}
	return nil
}
