package command

import (
	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/runner/install"
)

func installCommand(w World) *cobra.Command {
	return &cobra.Command{
		Use:   "install DIR",
		Short: "Copy this program to DIR/kaito-runner",
		Long: `Copy this program to DIR/kaito-runner with mode 0555. The file appears whole or not at
all. An init container does this, so that the engine's own image can start the runner.`,
		Example: "  kaito-runner install /kaito",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := install.Into(args[0], w.Executable)
			if err != nil {
				return err
			}
			cmd.Println("installed", path)
			return nil
		},
	}
}
