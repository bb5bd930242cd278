// Package process runs the engine: one child in a process group of its own, its
// output passed through line by line, its end told exactly once.
package process

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// leftovers is how long output is read after the engine's end, in case a
// grandchild still holds the pipe.
const leftovers = time.Second

// Spec says what to start.
type Spec struct {
	// Command is the program and its arguments.
	Command []string
	// Env is the whole environment of the child.
	Env []string
	// Stdout and Stderr receive the child's output, whole lines at a time.
	Stdout, Stderr io.Writer
}

// Exit is how a process ended.
type Exit struct {
	// Code is the exit code, or -1 after a signal.
	Code int
	// Signal is the signal's number, or 0.
	Signal syscall.Signal
}

// String says it in words.
func (e Exit) String() string {
	if e.Signal != 0 {
		return fmt.Sprintf("ended by signal %d (%s)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("ended with exit code %d", e.Code)
}

// Process is a running or ended child.
type Process struct {
	cmd    *exec.Cmd
	out    *lineWriter
	err    *lineWriter
	tail   *tail
	done   chan struct{}
	exit   Exit
	signal func(pid int, sig syscall.Signal) error
}

// Start starts the child.
func Start(spec Spec) (*Process, error) {
	if len(spec.Command) == 0 {
		return nil, errors.New("start engine: the command is empty")
	}
	lines := &tail{}
	p := &Process{
		out:    &lineWriter{to: spec.Stdout, tail: lines},
		err:    &lineWriter{to: spec.Stderr, tail: lines},
		tail:   lines,
		done:   make(chan struct{}),
		signal: syscall.Kill,
	}
	p.cmd = exec.Command(spec.Command[0], spec.Command[1:]...) //nolint:noctx // Stop ends it, in good order; a context would kill it
	p.cmd.Env = spec.Env
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	p.cmd.WaitDelay = leftovers
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start engine %q: %w", spec.Command[0], err)
	}
	go p.wait()
	return p, nil
}

// Pid is the child's process id, and its group's.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended and its output was passed on.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is how the child ended; it is valid once Done is closed.
func (p *Process) Exit() Exit { return p.exit }

// Tail is the newest lines of the child's output, oldest first.
func (p *Process) Tail() []string { return p.tail.last() }

// Signal sends sig to the child and all that it started. A child that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	err := p.signal(-p.Pid(), sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send signal %s to the engine: %w", sig, err)
	}
	return nil
}

// Stop asks the child to end, kills it and all that it started after patience,
// and returns when it has ended. It says whether the child went when asked.
func (p *Process) Stop(patience time.Duration) (willing bool, err error) {
	err = p.Signal(syscall.SIGTERM)
	over := time.NewTimer(patience)
	defer over.Stop()
	select {
	case <-p.done:
		willing = true
	case <-over.C:
	}
	err = errors.Join(err, p.Signal(syscall.SIGKILL)) // also for what the child left behind
	<-p.done
	return willing, err
}

func (p *Process) wait() {
	defer close(p.done)
	_ = p.cmd.Wait() // the state says more than the error
	p.out.flush()
	p.err.flush()
	p.exit = Exit{Code: p.cmd.ProcessState.ExitCode()}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		p.exit.Signal = status.Signal()
	}
}
