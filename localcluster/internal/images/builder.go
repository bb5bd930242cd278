package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Options say what to build and with what.
type Options struct {
	// Source is the checkout; Cache is the folder that everything between is kept in.
	Source, Cache string
	// Names are the images asked for; empty for all and the models.
	Names []string
	// Registry is the HOST:PORT to push to; empty to build only.
	Registry string
	// Values is the Helm values file to write.
	Values string
	// Locked makes a difference from a lock an error; UpdateLocks writes the locks.
	Locked, UpdateLocks bool
	// CLI is the kaito program, for packaging models.
	CLI string
	// Host is how this machine reaches the package registries.
	Host Host
	// Progress is for people.
	Progress io.Writer
	// Now is the clock; CPU is the time that this process itself has used.
	Now func() time.Time
	CPU func() time.Duration
}

// Builder builds images and pushes them.
type Builder struct {
	options Options
	store   store
	engine  *engine
	rows    []row
}

// New returns a builder on a cache folder.
func New(options Options) *Builder {
	return &Builder{
		options: options,
		store:   store{dir: options.Cache},
		engine:  &engine{dir: options.Cache, host: options.Host, run: execute},
	}
}

// Run builds what has changed, pushes what the registry lacks, and writes the values file.
func (b *Builder) Run(ctx context.Context) error {
	table := Table()
	chosen, err := Choose(table, b.options.Names)
	if err != nil {
		return err
	}
	unlock, err := b.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := b.engine.open(ctx); err != nil {
		return err
	}
	defer b.engine.close(ctx)
	if err := b.images(ctx, chosen); err != nil {
		return err
	}
	if len(b.options.Names) == 0 || slices.Contains(b.options.Names, ModelsName) {
		if err := b.models(ctx); err != nil {
			return err
		}
	}
	records, err := b.store.loadAll(table)
	if err != nil {
		return err
	}
	if err := writeWhole(b.options.Values, Values(records)); err != nil {
		return fmt.Errorf("write the values file: %w", err)
	}
	b.printTable()
	return b.sweep(records)
}

// images brings the chosen images up to date, here and in the registry.
func (b *Builder) images(ctx context.Context, chosen []Image) error {
	if len(chosen) == 0 {
		return nil
	}
	if b.options.Registry != "" {
		if err := reach(ctx, b.options.Registry); err != nil {
			return err
		}
	}
	on, err := b.makeBase(ctx)
	if err != nil {
		return err
	}
	records, err := b.store.loadAll(chosen)
	if err != nil {
		return err
	}
	steps, err := Plan(Request{Source: b.options.Source, Base: on.Digest, Records: records, UpdateLocks: b.options.UpdateLocks}, chosen)
	if err != nil {
		return err
	}
	for _, step := range steps {
		record, state := records[step.Image.Name], "unchanged"
		if step.Build {
			state = "built"
			if record, err = b.make(ctx, step, on); err != nil {
				return err
			}
		}
		pushed, err := b.push(ctx, step.Image.Name, record)
		if err != nil {
			return err
		}
		b.rows = append(b.rows, row{name: step.Image.Name, state: state + pushed, record: record, built: step.Build})
	}
	return nil
}

// measured runs a build with a log file. When it goes wrong, the log's last lines and
// its place become part of the error.
func (b *Builder) measured(image Image, why string, build func(log io.Writer) error) error {
	if err := b.space(image); err != nil {
		return err
	}
	file := b.store.logFile(image.Name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	log, err := os.Create(file)
	if err != nil {
		return err
	}
	began := b.options.Now()
	b.say(image.Name, "building (%s); log %s", why, file)
	tail := &tail{keep: 15}
	err = build(io.MultiWriter(log, tail, &steps{say: func(line string) { b.say(image.Name, "%s", line) }}))
	if err = errors.Join(err, log.Close()); err != nil {
		return &BuildError{Image: image.Name, Log: file, Last: tail.lines, Err: err}
	}
	b.say(image.Name, "built in %s", seconds(b.options.Now().Sub(began)))
	return nil
}

// BuildError says what went wrong, with the end of the log.
type BuildError struct {
	Image, Log string
	Last       []string
	Err        error
}

// Error is for a person: what failed, the end of the log, and where the rest is.
func (e *BuildError) Error() string {
	return fmt.Sprintf("build image %q: %v\n  %s\nThe whole log is %s. Fix what it names and run the same command again: what is done already is kept.",
		e.Image, e.Err, strings.Join(e.Last, "\n  "), e.Log)
}

// Unwrap is the cause.
func (e *BuildError) Unwrap() error { return e.Err }

// space refuses to begin what would fill the disk.
func (b *Builder) space(image Image) error {
	var s syscall.Statfs_t
	if err := os.MkdirAll(b.options.Cache, 0o755); err != nil {
		return fmt.Errorf("make the cache folder: %w", err)
	}
	if err := syscall.Statfs(b.options.Cache, &s); err != nil {
		return fmt.Errorf("ask for the free space of %q: %w", b.options.Cache, err)
	}
	if free := s.Bavail * uint64(s.Bsize); free < image.Space {
		return fmt.Errorf("image %q needs %d MiB of free space under %q, there are %d MiB; free some, or set KAITO_CACHE to a folder on a larger disk",
			image.Name, image.Space/mib, b.options.Cache, free/mib)
	}
	return nil
}

// lock keeps two runs from building in one cache at once.
func (b *Builder) lock() (unlock func(), err error) {
	if err := os.MkdirAll(b.options.Cache, 0o755); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w", err)
	}
	name := filepath.Join(b.options.Cache, "lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another run builds images in %q: wait for it to end and run this again", b.options.Cache), f.Close())
	}
	return func() { _ = f.Close() }, nil // closing gives the lock back; nothing was written
}

// sweep removes layers that no image refers to any more.
func (b *Builder) sweep(records map[string]Record) error {
	wanted := map[string]bool{}
	if was, whole, err := b.store.load(baseImage().Name); err == nil && whole {
		records = withBase(records, was)
	}
	for _, r := range records {
		for _, blob := range r.Layers {
			wanted[filepath.Base(blob.File())] = true
		}
	}
	entries, err := os.ReadDir(b.store.layers())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !wanted[e.Name()] {
			if err := os.Remove(filepath.Join(b.store.layers(), e.Name())); err != nil {
				return fmt.Errorf("remove an old layer: %w", err)
			}
		}
	}
	return nil
}

func withBase(records map[string]Record, on Record) map[string]Record {
	all := map[string]Record{baseImage().Name: on}
	for name, r := range records {
		all[name] = r
	}
	return all
}

// cpu is what this process and its children have used so far.
func (b *Builder) cpu() time.Duration { return b.options.CPU() + b.engine.cpu }

func (b *Builder) say(name, format string, args ...any) {
	_, _ = fmt.Fprintf(b.options.Progress, "%s: %s\n", name, fmt.Sprintf(format, args...))
}

// tail keeps the last lines that are written to it.
type tail struct {
	keep  int
	lines []string
	open  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.open = append(t.open, p...)
	for {
		i := bytes.IndexByte(t.open, '\n')
		if i < 0 {
			return len(p), nil
		}
		t.lines = append(t.lines, string(t.open[:i]))
		t.open = t.open[i+1:]
		if len(t.lines) > t.keep {
			t.lines = t.lines[1:]
		}
	}
}

// steps passes on the lines in which buildah says which line of the Dockerfile it is at.
type steps struct {
	say  func(string)
	open []byte
}

func (s *steps) Write(p []byte) (int, error) {
	s.open = append(s.open, p...)
	for {
		i := bytes.IndexByte(s.open, '\n')
		if i < 0 {
			return len(p), nil
		}
		if line := string(s.open[:i]); strings.HasPrefix(line, "STEP ") || strings.HasPrefix(line, "smoke test") {
			s.say(line[:min(len(line), 110)])
		}
		s.open = s.open[i+1:]
	}
}
