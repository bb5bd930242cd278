// Command arm-emulator stands for Azure Resource Manager on a laptop and in tests.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/armemulator/command"
	"kaito.sh/kaito/internal/buildinfo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command.Execute(ctx, command.World{
		Stdout: os.Stdout, Stderr: os.Stderr, Clock: clock.RealClock{}, Long: buildinfo.Long("arm-emulator"),
	}, os.Args[1:])
	stop()
	os.Exit(code)
}
