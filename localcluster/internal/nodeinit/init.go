package nodeinit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kaito.sh/kaito/localcluster/internal/clock"
	"kaito.sh/kaito/localcluster/internal/process"
)

const (
	// again is the pause before a program that ended is started anew.
	again = 2 * time.Second
	// grace is how long the node's processes may take to end.
	grace = 2 * time.Second
)

// Init is the first process.
type Init struct {
	plan    Plan
	clock   clock.Clock
	log     *slog.Logger
	running map[int]int // process id → index in plan.Programs
	restart chan int
}

// New makes the first process of a node.
func New(p Plan, c clock.Clock, log *slog.Logger) *Init {
	return &Init{plan: p, clock: c, log: log, running: map[int]int{}, restart: make(chan int, len(p.Programs))}
}

// Signals are what Run wants to hear of: the end of a child.
func Signals() []os.Signal { return []os.Signal{syscall.SIGCHLD} }

// Run waits for the gate, furnishes the node, and runs it until ctx ends.
func (n *Init) Run(ctx context.Context, gate io.Reader, children <-chan os.Signal) error {
	if _, err := io.ReadFull(gate, make([]byte, 1)); err != nil {
		return fmt.Errorf("wait for the network of node %q: whoever started it is gone: %w", n.plan.Name, err)
	}
	if err := furnish(n.plan); err != nil {
		return fmt.Errorf("furnish node %q: %w", n.plan.Name, err)
	}
	for i, p := range n.plan.Programs {
		n.start(ctx, i)
		if p.Socket == "" {
			continue
		}
		w := clock.Wait{What: p.Name + " listens", Every: 20 * time.Millisecond, Limit: time.Minute}
		if err := n.clock.Until(ctx, w, func(context.Context) error { return listening(p.Socket) }); err != nil {
			return fmt.Errorf("start node %q: %w; its log is %s", n.plan.Name, err, p.Log)
		}
	}
	for {
		select {
		case <-ctx.Done():
			n.stop(children)
			return nil
		case <-children:
			n.reap()
		case i := <-n.restart:
			n.start(ctx, i)
		}
	}
}

func listening(socket string) error {
	_, err := os.Stat(socket)
	return err
}

// start runs one program; one that cannot be started is tried again.
func (n *Init) start(ctx context.Context, i int) {
	p := n.plan.Programs[i]
	pid, err := n.spawn(ctx, p)
	if err != nil {
		n.log.Error("program was not started", "program", p.Name, "error", err)
		n.later(i)
		return
	}
	n.running[pid] = i
	n.log.Info("program started", "program", p.Name, "pid", pid)
}

func (n *Init) spawn(ctx context.Context, p Program) (int, error) {
	log, err := process.OpenLog(p.Log)
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	c := exec.CommandContext(context.WithoutCancel(ctx), p.Argv[0], p.Argv[1:]...)
	c.Env, c.Stdout, c.Stderr = n.plan.Env, log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return 0, err
	}
	return c.Process.Pid, nil // reaped below, with all others
}

func (n *Init) later(i int) {
	wait := n.clock.After(again)
	go func() { <-wait; n.restart <- i }()
}

// reap collects every child that ended: our own, and those whose parent is gone.
// It answers false when there is no child at all.
func (n *Init) reap() bool {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return err == nil
		}
		if i, ours := n.running[pid]; ours {
			delete(n.running, pid)
			n.log.Warn("program ended", "program", n.plan.Programs[i].Name, "code", ws.ExitStatus(), "signal", ws.Signal().String())
			n.later(i)
		}
	}
}

// stop asks every process of the node to end and waits for them, up to grace.
// Those that stay are ended by the kernel with this process.
func (n *Init) stop(children <-chan os.Signal) {
	n.log.Info("node stops")
	_ = unix.Kill(-1, unix.SIGTERM) // all but ourselves
	limit := n.clock.After(grace)
	for n.reap() {
		select {
		case <-children:
		case <-limit:
			n.log.Warn("processes were left to the kernel")
			return
		}
	}
}
