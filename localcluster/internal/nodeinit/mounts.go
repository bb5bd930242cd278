package nodeinit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// furnish sets up what the node sees: its name, its own /proc and /run, and its
// own folders over the fixed paths. Mounts are shared inside the node, so that
// pods can see each other's, and never reach the machine.
func furnish(p Plan) error {
	if err := unix.Sethostname([]byte(p.Name)); err != nil {
		return fmt.Errorf("set host name %q: %w", p.Name, err)
	}
	const quiet = unix.MS_NOSUID | unix.MS_NODEV
	mounts := []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"", "/", "", unix.MS_REC | unix.MS_SLAVE, ""},
		{"", "/", "", unix.MS_REC | unix.MS_SHARED, ""},
		{"proc", "/proc", "proc", quiet | unix.MS_NOEXEC, ""},
		{"tmpfs", "/run", "tmpfs", quiet, "mode=755"},
		{"", "/run", "", unix.MS_SHARED, ""},
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %q: %w", m.target, err)
		}
	}
	for _, b := range p.Binds {
		if err := bind(b); err != nil {
			return err
		}
	}
	for _, f := range p.Folders {
		if err := os.MkdirAll(f, 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	return set(p.Settings)
}

// bind puts one folder over another, in a peer group of its own: otherwise each
// mount below would appear a second time at the source.
func bind(b Bind) error {
	if err := os.MkdirAll(b.From, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for _, flags := range []uintptr{unix.MS_BIND, unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount(b.From, b.To, "", flags, ""); err != nil {
			return fmt.Errorf("mount %q over %q: %w", b.From, b.To, err)
		}
	}
	return nil
}

// set writes the settings; one that this kernel does not know is passed over.
func set(settings map[string]string) error {
	for k, v := range settings {
		err := os.WriteFile(filepath.Join("/proc/sys", k), []byte(v), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set %q to %q: %w", k, v, err)
		}
	}
	return nil
}
