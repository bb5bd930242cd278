package layer

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// leftovers lists paths (patterns of path/filepath) that no image should carry: they
// tell of the machine or the moment of the build, or are caches that only cost bytes.
// A pattern that ends in /* empties a folder and keeps it.
func leftovers() []string {
	return []string{
		"dev/*", "proc/*", "sys/*", "run/*", "tmp/*", "var/tmp/*", "var/log/*",
		"etc/resolv.conf", "etc/hosts", "etc/hostname", "etc/machine-id", "var/lib/dbus/machine-id",
		"etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-", "etc/.pwd.lock",
		"etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
		"var/cache/apt/*", "var/cache/debconf/*-old", "var/cache/ldconfig/*", "var/cache/man/*",
		"var/lib/apt/lists/*", "var/lib/apt/extended_states.*", "var/lib/dpkg/*-old", "var/lib/dpkg/lock*", "var/lib/dpkg/triggers/Lock",
		"var/lib/systemd/deb-systemd-helper-enabled/*.tmp",
		"root/.cache", "root/.bash_history", "root/.python_history", "root/.wget-hsts",
	}
}

// Clean removes from the tree under root what no image should carry, and also the
// mount points that the build added (paths inside the tree, "/etc/pip.conf").
func Clean(root string, mountPoints []string) error {
	patterns := leftovers()
	for _, m := range mountPoints {
		patterns = append(patterns, path.Clean("/" + m)[1:])
	}
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return fmt.Errorf("clean %q of %q: %w", pattern, root, err)
		}
		for _, p := range found {
			if err := os.RemoveAll(p); err != nil {
				return fmt.Errorf("clean %q: %w", p, err)
			}
		}
	}
	return nil
}
