package programs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// progressPause is the time between two lines of progress.
	progressPause = 10 * time.Second
	// tailLines is how much of a log stands in an error.
	tailLines = 15
	// stopGrace is how long an interrupted compiler may take to clean up.
	stopGrace = 5 * time.Second
)

// errNoSpace says that the disk filled up during a build.
var errNoSpace = errors.New("the disk is full")

// A BuildError is a failed build with the place and the end of its log.
type BuildError struct {
	Recipe string
	Log    string
	Tail   string
	Err    error
}

func (e *BuildError) Error() string {
	hint := "read the log, correct the cause and run the same command again: what is built stays built"
	if errors.Is(e.Err, errNoSpace) {
		hint = "make room, or point KAITO_CACHE, GOCACHE and TMPDIR at a larger disk, and run the same command again"
	}
	return fmt.Sprintf("build %s: %v\n%s\nthe whole log is %s\n%s", e.Recipe, e.Err, e.Tail, e.Log, hint)
}

func (e *BuildError) Unwrap() error { return e.Err }

// build compiles one entry into its temporary folder and stores it.
func build(ctx context.Context, o Options, tc toolchain, e entry) (Build, error) {
	b := Build{Recipe: e.recipe.name, Key: e.key, Go: tc.Version, Fresh: true}
	root := o.root()
	if err := os.MkdirAll(e.temp(root), 0o755); err != nil {
		return b, fmt.Errorf("make a folder for %s: %w", e.recipe.name, err)
	}
	log, err := os.Create(e.log(root))
	if err != nil {
		return b, fmt.Errorf("open the log of %s: %w", e.recipe.name, err)
	}
	defer func() { _ = log.Close() }()

	count := &counter{w: log}
	cmd := compiler(ctx, o, e)
	cmd.Stdout, cmd.Stderr = count, count
	fmt.Fprintf(log, "cd %s && env %s %s\n", cmd.Dir, quoted(e.recipe.settings()), quoted(cmd.Args))

	start := o.Clock.Now()
	err = run(cmd, func(pid int, done <-chan struct{}) { watch(o, e.recipe.name, pid, count, done) })
	b.Wall = o.Clock.Since(start)
	if s := cmd.ProcessState; s != nil {
		b.CPU = s.UserTime() + s.SystemTime()
	}
	b.Packages = count.packages()
	if err != nil {
		return b, failure(ctx, e, root, err)
	}
	return b, e.publish(root, b)
}

// compiler is the call of "go build" for an entry.
func compiler(ctx context.Context, o Options, e entry) *exec.Cmd {
	// -v names each package as it is compiled: that is the progress.
	args := append([]string{"build", "-v"}, e.recipe.flags(e.module.versions)...)
	if o.Parallel > 0 {
		args = append(args, "-p", strconv.Itoa(o.Parallel))
	}
	args = append(args, "-o", e.temp(o.root())+string(filepath.Separator))
	args = append(args, e.recipe.packages...)

	cmd := exec.CommandContext(ctx, o.GoProgram, args...)
	cmd.Dir = e.module.dir
	cmd.Env = append(o.Env[:len(o.Env):len(o.Env)], e.recipe.settings()...)
	// A process group of its own, so that the compilers stop together with go.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	return cmd
}

// run starts a command, lets watch follow it and waits for its end.
func run(cmd *exec.Cmd, watch func(pid int, done <-chan struct{})) error {
	// The signal of Pdeathsig follows the thread that started the child, not the
	// process: the thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the compiler: %w", err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		watch(cmd.Process.Pid, done)
	}()
	err := cmd.Wait()
	close(done)
	<-ended
	return err
}

// failure makes an error of a failed compiler and the end of its log.
func failure(ctx context.Context, e entry, root string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: %w", e.recipe.name, ctx.Err())
	}
	content, readErr := os.ReadFile(e.log(root))
	if readErr != nil {
		return fmt.Errorf("build %s: %w", e.recipe.name, errors.Join(err, readErr))
	}
	// The compiler is another program: its words are all that tells the cause.
	if strings.Contains(string(content), "no space left on device") {
		err = errors.Join(errNoSpace, err)
	}
	return &BuildError{Recipe: e.recipe.name, Log: e.log(root), Tail: tail(string(content)), Err: err}
}

// tail returns the last lines that are more than a package's name.
func tail(log string) string {
	var kept []string
	for line := range strings.Lines(log) {
		if line = strings.TrimRight(line, "\n"); !packageName(line) {
			kept = append(kept, "  "+line)
		}
	}
	if len(kept) > tailLines {
		kept = kept[len(kept)-tailLines:]
	}
	return strings.Join(kept, "\n")
}

func quoted(args []string) string {
	parts := make([]string, len(args))
	for i, a := range args {
		if parts[i] = a; strings.ContainsAny(a, " '\"") {
			parts[i] = "'" + a + "'"
		}
	}
	return strings.Join(parts, " ")
}

var _ io.Writer = (*counter)(nil)
