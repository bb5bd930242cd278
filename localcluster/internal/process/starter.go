package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"kaito.sh/kaito/localcluster/internal/clock"
)

// rotateAt is the size above which a log is moved aside at the next start.
const rotateAt = 32 << 20

// Spec is one program to run in the background.
type Spec struct {
	// Name for messages.
	Name string
	// Argv is the program, as an absolute path, and its arguments.
	Argv []string
	// PidFile, Cgroup and Log say where it is kept track of.
	PidFile, Cgroup, Log string
	// Namespaces are clone flags; 0 is none.
	Namespaces uintptr
	// Gate is handed to the program as file 3; it may be nil.
	Gate *os.File
}

// Starter starts and stops programs.
type Starter struct {
	self  []string // this program and the words that make it run Stage
	env   []string
	clock clock.Clock
}

// NewStarter makes a starter. self is this program's path and the arguments that
// lead to its stage; env is the whole environment of what it starts.
func NewStarter(self, env []string, c clock.Clock) *Starter {
	return &Starter{self: self, env: env, clock: c}
}

// Start runs the program and returns once its pid file is written.
func (s *Starter) Start(ctx context.Context, spec Spec) (Identity, error) {
	log, err := OpenLog(spec.Log)
	if err != nil {
		return Identity{}, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	defer func() { _ = log.Close() }()
	if err := s.gone(ctx, spec.PidFile); err != nil {
		return Identity{}, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	if err := errors.Join(Forget(spec.PidFile), os.MkdirAll(filepath.Dir(spec.PidFile), 0o755)); err != nil {
		return Identity{}, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	args := append(append([]string{}, s.self[1:]...), "--pid-file", spec.PidFile, "--cgroup", spec.Cgroup, "--")
	// It goes on when the command that started it ends or is cut off.
	c := exec.CommandContext(context.WithoutCancel(ctx), s.self[0], append(args, spec.Argv...)...)
	c.Env, c.Stdout, c.Stderr = s.env, log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: spec.Namespaces}
	if spec.Gate != nil {
		c.ExtraFiles = []*os.File{spec.Gate}
	}
	if err := c.Start(); err != nil {
		return Identity{}, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }() // its end is seen through the pid file
	id, err := s.written(ctx, spec, ended)
	if err != nil {
		_ = c.Process.Kill()
		return Identity{}, fmt.Errorf("start %s: %w; its log is %s", spec.Name, err, spec.Log)
	}
	return id, nil
}

// gone waits until the process of a pid file, which was killed, is no more.
func (s *Starter) gone(ctx context.Context, pidFile string) error {
	id, there := read(pidFile)
	if !there {
		return nil
	}
	w := clock.Wait{What: fmt.Sprintf("the killed process %d goes", id.Pid), Every: 10 * time.Millisecond, Limit: 20 * time.Second}
	return s.clock.Until(ctx, w, func(context.Context) error {
		if id.Alive() {
			return errors.New("the kernel has not ended it")
		}
		return nil
	})
}

// written waits for the stage to write the pid file.
func (s *Starter) written(ctx context.Context, spec Spec, ended <-chan struct{}) (Identity, error) {
	var id Identity
	gone := false
	w := clock.Wait{What: "it runs", Every: 5 * time.Millisecond, Limit: 20 * time.Second}
	err := s.clock.Until(ctx, w, func(context.Context) error {
		found, alive := Find(spec.PidFile)
		if alive {
			id = found
			return nil
		}
		select {
		case <-ended:
			gone = true
			return nil
		default:
			return errors.New("it has not reported its process id")
		}
	})
	if gone {
		return Identity{}, errors.New("it ended at once")
	}
	return id, err
}

// Stop ends the process of a pid file: politely, then after grace by force. It
// answers whether force was needed.
func (s *Starter) Stop(ctx context.Context, pidFile string, grace time.Duration) (forced bool, err error) {
	id, there := read(pidFile)
	if !there || !id.Alive() {
		return false, Forget(pidFile)
	}
	gone := func(context.Context) error {
		if id.Alive() {
			return fmt.Errorf("process %d still runs", id.Pid)
		}
		return nil
	}
	// A stopped process would not notice the polite signal.
	_ = syscall.Kill(id.Pid, syscall.SIGTERM)
	_ = syscall.Kill(id.Pid, syscall.SIGCONT)
	w := clock.Wait{What: fmt.Sprintf("end process %d of %q", id.Pid, pidFile), Every: 10 * time.Millisecond, Limit: grace}
	err = s.clock.Until(ctx, w, gone)
	var late *clock.TimeoutError
	if errors.As(err, &late) {
		forced = true
		_ = syscall.Kill(id.Pid, syscall.SIGKILL)
		w.Limit = 10 * time.Second
		err = s.clock.Until(ctx, w, gone)
	}
	if err != nil {
		return forced, err
	}
	return forced, Forget(pidFile)
}

// OpenLog opens a log to append to; one that has grown large is moved aside first.
func OpenLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if fi, err := os.Stat(path); err == nil && fi.Size() > rotateAt {
		if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("open log: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}
