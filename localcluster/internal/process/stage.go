package process

import (
	"fmt"

	"golang.org/x/sys/unix"

	"kaito.sh/kaito/localcluster/internal/cgroup"
)

// Stage is what happens between the start of a process and its becoming the program.
type Stage struct {
	// PidFile to write.
	PidFile string
	// Cgroup to join.
	Cgroup string
}

// Enter joins the control group and writes the pid file, in this order: whoever
// finds the pid file may rely on the group.
func (s Stage) Enter() error {
	tree, err := cgroup.Detect(cgroup.Root)
	if err != nil {
		return err
	}
	if err := tree.Join(s.Cgroup); err != nil {
		return err
	}
	self, err := Self()
	if err != nil {
		return err
	}
	return self.Save(s.PidFile)
}

// Become replaces the calling process by the program; it only returns on error.
func Become(argv, env []string) error {
	if err := unix.Exec(argv[0], argv, env); err != nil {
		return fmt.Errorf("start program %q: %w", argv[0], err)
	}
	return nil
}
