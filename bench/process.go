package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// process is a program that runs beside the benchmark, with its log in a file.
type process struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{}
	// end stops it once.
	end func() error
}

func startProcess(ctx context.Context, log, path string, args ...string) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", path, err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = file, file
	cmd.Dir = filepath.Dir(log)
	// A benchmark that dies takes it along.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	p := &process{cmd: cmd, log: file, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	p.end = sync.OnceValue(func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		<-p.done
		kill.Stop()
		return file.Close()
	})
	return p, nil
}

func (p *process) stop() error { return p.end() }

// ended says whether it has ended by itself.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// peak is the most memory that it has had, in MiB.
func (p *process) peak() (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of a process: %w", err)
	}
	m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(raw)
	if m == nil {
		return 0, fmt.Errorf("read the memory of process %d: no VmHWM", p.cmd.Process.Pid)
	}
	kib, err := strconv.ParseFloat(string(m[1]), 64)
	return kib / 1024, err
}

// cpu is the CPU time that it has used, in seconds, in ticks of a hundredth.
func (p *process) cpu() (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of a process: %w", err)
	}
	// The name of the program, in parentheses, may hold spaces; utime and stime are the fields 14 and 15.
	m := regexp.MustCompile(`\) \S(?: \S+){10} (\d+) (\d+) `).FindSubmatch(raw)
	if m == nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %q", p.cmd.Process.Pid, raw)
	}
	user, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(string(m[2]), 64)
	return (user + system) / 100, err
}
