package process

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AdoptOrphans makes every process whose parent has ended a child of this one, as
// it is for PID 1 anyway, so that Reap can collect it wherever the runner runs.
func AdoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphans: %w", err)
	}
	return nil
}

// Reap collects ended children other than own, which has a waiter of its own, at
// every SIGCHLD that comes through children, until stop is closed.
func Reap(children <-chan os.Signal, stop <-chan struct{}, own int) {
	for {
		collect(own)
		select {
		case <-stop:
			return
		case <-children:
		}
	}
}

// collect takes every zombie but own. It looks before it takes, because taking the
// engine's status here would hide it from its waiter; a zombie engine ends the
// round, and soon the runner.
func collect(own int) {
	for {
		pid, err := zombie()
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid == 0 || pid == own {
			return
		}
		var status unix.WaitStatus
		_, _ = unix.Wait4(pid, &status, unix.WNOHANG, nil)
	}
}

// siginfo is the part of the kernel's siginfo_t that waitid fills in on 64-bit Linux.
type siginfo struct {
	signo, errno, code, _ int32
	pid                   int32
	_                     [108]byte
}

// zombie is the id of a child that has ended and was not collected, or 0.
func zombie() (int, error) {
	var info siginfo
	//nolint:gosec // unix.Siginfo hides the pid; the layout above is the kernel's
	err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return int(info.pid), err
}
