// Command kaito-runner is the first process of every model container: it starts the
// engine, answers HTTP for it and says in the end why it ended.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	// Engine images need not have certificates of their own, and that of llama.cpp has
	// none; these are used where the image has no file with some.
	_ "golang.org/x/crypto/x509roots/fallback"

	"kaito.sh/kaito/internal/buildinfo"
	"kaito.sh/kaito/internal/runner/command"
)

func main() {
	started := time.Now()
	program, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kaito-runner: find the running program:", err)
		os.Exit(1)
	}
	os.Exit(command.Execute(context.Background(), command.World{
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
