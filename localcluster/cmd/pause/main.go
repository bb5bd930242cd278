// Command pause holds a pod's namespaces: it is the only process of the sandbox,
// does nothing, and reaps processes that lost their parent when the pod shares its
// process namespace.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const help = `pause holds the namespaces of a pod until it is told to stop.

Usage:
  pause            wait for SIGTERM or SIGINT, and reap orphans
  pause --help     print this
  pause --version  print the version

Example:
  pause            as the command of a sandbox image
`

// version is that of the program's behaviour; images name it in their tag.
const version = "1"

func main() {
	if len(os.Args) > 1 {
		os.Exit(answer(os.Args[1]))
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	wait(signals, reap)
}

// answer serves the flags of a person who tries the program by hand.
func answer(flag string) int {
	switch flag {
	case "--help", "-h", "help":
		fmt.Print(help)
	case "--version", "-v", "version":
		fmt.Println("pause " + version)
	default:
		fmt.Fprintf(os.Stderr, "pause: unknown argument %q; pause --help tells\n", flag)
		return 2
	}
	return 0
}

// wait calls reap for each SIGCHLD and returns on any other signal.
func wait(signals <-chan os.Signal, reap func()) {
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		reap()
	}
}

// reap collects all children that have ended. One signal may stand for several.
func reap() {
	for {
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
			return
		}
	}
}
