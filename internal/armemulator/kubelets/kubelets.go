// Package kubelets makes the emulator's machines real nodes of the local cluster: each is a
// kubelet that `kaito-localcluster node add` starts.
package kubelets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"kaito.sh/kaito/internal/armemulator"
)

// Options say which cluster the nodes join.
type Options struct {
	// Program is kaito-localcluster.
	Program string
	// Cluster is its name, DataRoot the folder of all clusters' data; the program's own
	// defaults where they are empty.
	Cluster, DataRoot string
	// CPU and Memory are what pods may use of each node; all of the machine where empty.
	CPU, Memory string
	Log         *slog.Logger
}

// Machines are nodes of a local cluster.
type Machines struct {
	o   Options
	ctx context.Context //nolint:containedctx // the life of the program, not of a call
	// slots bounds how many programs run at once.
	slots chan struct{}
	all   sync.WaitGroup

	mu   sync.Mutex
	jobs map[string]*job
}

// job is a creation that runs.
type job struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// stop is how long a program has to end after it was asked to.
const stop = 30 * time.Second

// New makes machines until ctx ends. What is under way then is given up without a word, so
// that an emulator which starts again goes on with it.
func New(ctx context.Context, o Options) *Machines {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Machines{o: o, ctx: ctx, slots: make(chan struct{}, 2), jobs: map[string]*job{}}
}

// Wait returns when nothing is under way any more.
func (m *Machines) Wait() { m.all.Wait() }

// Create adds a node and says booted when it is Ready. A node of that name, left by an
// emulator that stopped in between, is replaced.
func (m *Machines) Create(one armemulator.Machine, booted func(error)) {
	ctx, cancel := context.WithCancel(m.ctx)
	j := &job{cancel: cancel, done: make(chan struct{})}
	m.mu.Lock()
	m.jobs[one.Node] = j
	m.mu.Unlock()
	m.all.Go(func() {
		defer cancel()
		err := m.add(ctx, one)
		m.mu.Lock()
		delete(m.jobs, one.Node)
		m.mu.Unlock()
		close(j.done)
		switch {
		case m.ctx.Err() != nil: // the next one goes on
		case ctx.Err() != nil:
			booted(armemulator.ErrGivenUp)
		default:
			booted(err)
		}
	})
}

func (m *Machines) add(ctx context.Context, one armemulator.Machine) error {
	err := m.run(ctx, AddArguments(m.o, one)...)
	if err == nil || !strings.Contains(err.Error(), "already") {
		return err
	}
	if err := m.remove(ctx, one); err != nil {
		return err
	}
	return m.run(ctx, AddArguments(m.o, one)...)
}

// Delete removes a node, after its creation has been given up.
func (m *Machines) Delete(one armemulator.Machine, gone func(error)) {
	m.mu.Lock()
	j := m.jobs[one.Node]
	m.mu.Unlock()
	m.all.Go(func() {
		if j != nil {
			j.cancel()
			<-j.done
		}
		err := m.remove(m.ctx, one)
		if m.ctx.Err() == nil {
			gone(err)
		}
	})
}

func (m *Machines) remove(ctx context.Context, one armemulator.Machine) error {
	err := m.run(ctx, slices.Concat([]string{"node", "remove", one.Node}, m.o.target())...)
	if err != nil && strings.Contains(err.Error(), "there is no node") {
		return nil
	}
	return err
}

// AddArguments are those of the program that adds a machine's node.
func AddArguments(o Options, one armemulator.Machine) []string {
	args := slices.Concat([]string{"node", "add", one.Node}, o.target(), []string{"--provider-id", one.ProviderID})
	for _, key := range slices.Sorted(maps.Keys(one.Labels)) {
		args = append(args, "--label", key+"="+one.Labels[key])
	}
	for _, taint := range one.Taints {
		args = append(args, "--taint", taint)
	}
	if one.GPUs > 0 {
		args = append(args, "--gpus", strconv.Itoa(one.GPUs))
		if one.GPUResource != "" {
			args = append(args, "--gpu-resource", one.GPUResource)
		}
	}
	if o.CPU != "" {
		args = append(args, "--cpu", o.CPU)
	}
	if o.Memory != "" {
		args = append(args, "--memory", o.Memory)
	}
	return args
}

func (o Options) target() []string {
	var args []string
	if o.Cluster != "" {
		args = append(args, "--name", o.Cluster)
	}
	if o.DataRoot != "" {
		args = append(args, "--data-root", o.DataRoot)
	}
	return args
}

// run runs the program and answers with its last words when it fails.
func (m *Machines) run(ctx context.Context, args ...string) error {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	cmd := exec.CommandContext(ctx, m.o.Program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stop
	m.o.Log.Info("started a program", "program", m.o.Program, "args", strings.Join(args[:3], " "))
	output, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("run %s: %w", m.o.Program, err)
	}
	return fmt.Errorf("%s: %w: %s", strings.Join(args[:3], " "), err, last(string(output)))
}

// last is the end of what a program wrote.
func last(text string) string {
	const most = 500
	text = strings.TrimSpace(text)
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return text
}
