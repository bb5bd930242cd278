// Command kaito-runner is the first process of every model container: it starts the
// engine, answers HTTP for it and says in the end why it ended.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	// Engine images need not have certificates of their own, and that of llama.cpp has
	// none; these are used where the image has no file with some.
	_ "golang.org/x/crypto/x509roots/fallback"

	"kaito.sh/kaito/internal/buildinfo"
	"kaito.sh/kaito/internal/runner/command"
	"kaito.sh/kaito/internal/runner/threads"
)

func main() {
	started := time.Now()
	program, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kaito-runner: find the running program:", err)
		os.Exit(1)
	}
	ctx := context.Background()
	go threads.Fit(ctx, threads.Process{
		All: runtime.GOMAXPROCS(0), Used: used, Limit: func(n int) { runtime.GOMAXPROCS(n) },
	}, time.Tick(100*time.Millisecond))
	os.Exit(command.Execute(ctx, command.World{
		Stdout: os.Stdout, Stderr: os.Stderr,
		Environ: os.Environ(), Executable: program, Signals: listen,
		Now: time.Now, Started: started,
		Cgroup:  os.DirFS("/sys/fs/cgroup"),
		Version: buildinfo.Version(), Long: buildinfo.Long("kaito-runner"),
	}, os.Args[1:]))
}

// listen takes over the signals that mean something to a runner or its engine.
func listen() (signals, children <-chan os.Signal) {
	sig, child := make(chan os.Signal, 16), make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH)
	signal.Notify(child, syscall.SIGCHLD)
	return sig, child
}

// used is the CPU time of this process, user and system.
func used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
