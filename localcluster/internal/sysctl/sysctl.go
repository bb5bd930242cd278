// Package sysctl reads and writes the kernel settings that a kubelet changes for
// the whole machine, so that the last cluster to go can put them back.
package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Root is where the kernel shows its settings.
const Root = "/proc/sys"

// kubelet is what the kubelet's container manager sets at start.
func kubelet() []string {
	return []string{
		"kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys",
		"kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "vm/panic_on_oom",
	}
}

// Values are settings by their path below Root.
type Values map[string]string

// Read looks up what the kubelet will change.
func Read(root string) (Values, error) {
	v := Values{}
	for _, k := range kubelet() {
		b, err := os.ReadFile(filepath.Join(root, k))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read kernel setting %q: %w", k, err)
		}
		v[k] = strings.TrimSpace(string(b))
	}
	return v, nil
}

// Write puts the values back, and only touches those that differ.
func Write(root string, v Values) error {
	have, err := Read(root)
	if err != nil {
		return err
	}
	var errs []error
	for k, want := range v {
		if have[k] == want {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, k), []byte(want), 0o644); err != nil {
			errs = append(errs, fmt.Errorf("restore kernel setting %q to %q: %w", k, want, err))
		}
	}
	return errors.Join(errs...)
}
