package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestWaitReapsUntilItIsToldToStop(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 3)
	signals <- syscall.SIGCHLD
	signals <- syscall.SIGCHLD
	signals <- syscall.SIGTERM
	reaped := 0
	wait(signals, func() { reaped++ })
	if reaped != 2 {
		t.Errorf("reaped %d times, want 2", reaped)
	}
}

// Not parallel: reap takes any child of the process.
func TestReapCollectsEndedChildren(t *testing.T) {
	child := exec.Command("true")
	if err := child.Start(); err != nil {
		t.Fatalf("start a child: %v", err)
	}
	pid := child.Process.Pid
	for syscall.Kill(pid, 0) == nil { // a zombie still has its number
		reap()
	}
	if err := child.Wait(); err == nil {
		t.Errorf("the child was still there to wait for")
	}
}
