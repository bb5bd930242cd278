package command

import (
	"context"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/phase"
	"kaito.sh/kaito/internal/runner/publish"
)

func pushCheckCommand(w World) *cobra.Command {
	o := output{name: "push-check", phase: string(phase.Checking)}
	var folder, checkpoints string
	cmd := &cobra.Command{
		Use:   "push-check --config FILE",
		Short: "Try whether a tuned adapter will be taken",
		Long: `Find out whether the output that FILE describes takes an adapter: the push Secret is read
and a blob of two bytes is pushed, or a file is written to the volume and removed. No tag
is touched. Where the folder for checkpoints is there, the newest checkpoint of the same
run is brought into it from the registry.

The termination log says how it ended, as JSON. The exit code is 2 where the same would
happen again, and 1 where it may pass.`,
		Example: `  # in a pod
  kaito-runner push-check --config /etc/kaito/tune.json

  # on a desk
  kaito-runner push-check --config tune.json --secret ~/.docker/config.json --checkpoints saved --termination-log ""`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.tell(w, func(o output) (contract.Result, error) {
				return contract.Result{}, o.check(cmd.Context(), folder, checkpoints)
			})
		},
	}
	o.add(cmd)
	cmd.Flags().StringVar(&folder, "output", contract.OutputDir, "folder of the volume for the adapter, where the run has one")
	cmd.Flags().StringVar(&checkpoints, "checkpoints", contract.CheckpointsDir, "folder for checkpoints")
	return cmd
}

func (o output) check(ctx context.Context, folder, checkpoints string) error {
	ctx, _, cancel := o.stoppable(ctx, 0)
	defer cancel()
	return publish.Check(ctx, publish.CheckOptions{
		Tune: o.tune, Open: o.open, Output: folder, Checkpoints: checkpoints,
		Phase: o.phase, Free: free, Sleep: sleep, Log: o.log,
	})
}
