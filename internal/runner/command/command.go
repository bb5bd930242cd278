// Package command is kaito-runner's command line.
package command

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/runner/ending"
)

// World is what a program gets from its surroundings.
type World struct {
	// Stdout and Stderr are the program's own.
	Stdout, Stderr io.Writer
	// Environ is the environment.
	Environ []string
	// Executable is the path of the running program.
	Executable string
	// Signals starts to deliver the signals that are sent to the program.
	Signals func() (signals, children <-chan os.Signal)
	// Now is the clock, Started when the process began.
	Now     func() time.Time
	Started time.Time
	// Cgroup is /sys/fs/cgroup.
	Cgroup fs.FS
	// Version is the program's release, Long a line about it for people.
	Version, Long string
}

// Execute runs the command line args and returns the exit code.
func Execute(ctx context.Context, w World, args []string) int {
	root := &cobra.Command{
		Use:   "kaito-runner",
		Short: "Start a model's engine and answer HTTP for it",
		Long: `kaito-runner is the first process of every model container. It opens the pod's port
at once, starts the engine, passes requests to it, and says in the end why it ended.`,
		Example: `  # copy the runner into a volume, as an init container does
  kaito-runner install /kaito

  # serve what the operator wrote down
  /kaito/kaito-runner serve --config /etc/kaito/runner.json`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetOut(w.Stdout)
	root.SetErr(w.Stderr)
	root.SetArgs(args)
	root.AddCommand(
		installCommand(w), serveCommand(w), adaptersCommand(w),
		factsCommand(w), pushCheckCommand(w), checkCommand(w), prepareCommand(w), trainCommand(w), checkpointCommand(w), publishCommand(w),
		versionCommand(w),
	)
	understood := false // a command line that is not ends before this
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	asked, err := root.ExecuteContextC(ctx)
	var end *ending.Ending
	switch {
	case err == nil:
		return 0
	case errors.As(err, &end): // serve has logged it
		return end.Code()
	case !understood:
		root.PrintErrf("kaito-runner: %v; see: %s --help\n", err, asked.CommandPath())
		return ending.CodeConfig
	default:
		root.PrintErrln("kaito-runner:", err)
		return ending.CodeConfig
	}
}

func versionCommand(w World) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Example: "  kaito-runner version",
		Run:     func(cmd *cobra.Command, _ []string) { cmd.Println(w.Long) },
	}
}
