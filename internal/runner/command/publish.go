package command

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/progress"
	"kaito.sh/kaito/internal/runner/publish"
)

// publishFlags are the flags of publish.
type publishFlags struct {
	listen       string
	results      string
	summary      string
	output       string
	stopPatience time.Duration
}

func publishCommand(w World) *cobra.Command {
	o := output{name: "publish", phase: contract.TunePublishing}
	var f publishFlags
	cmd := &cobra.Command{
		Use:   "publish --config FILE",
		Short: "Bring a tuned adapter to its output, once",
		Long: `Check the adapter that train has left and bring it to the output that FILE describes: an
OCI image with the adapter below /data, or its two files at the root of a volume. A tag
that holds the adapter of this run is not written again. The run's checkpoints are removed.

  GET /progress   the phase Publishing as JSON

SIGTERM lets a push that goes on come to its end. The termination log says how it ended, as
JSON. The exit code is 2 where the same would happen again, and 1 where it may pass.`,
		Example: `  # in a pod
  kaito-runner publish --config /etc/kaito/tune.json

  # on a desk
  kaito-runner publish --config tune.json --secret ~/.docker/config.json --results out --summary summary.json \
    --listen 127.0.0.1:5000 --termination-log end.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.tell(w, func(o output) (contract.Result, error) { return o.publish(cmd.Context(), f) })
		},
	}
	o.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", fmt.Sprintf(":%d", contract.Port), "address to listen on")
	flags.StringVar(&f.results, "results", contract.ResultsDir, "folder with the adapter")
	flags.StringVar(&f.summary, "summary", contract.SummaryFile, "file that sums the data set up")
	flags.StringVar(&f.output, "output", contract.OutputDir, "folder of the volume for the adapter, where the run has one")
	flags.DurationVar(&f.stopPatience, "stop-timeout", outputStop, "how long a push may go on after SIGTERM")
	return cmd
}

func (o output) publish(ctx context.Context, f publishFlags) (contract.Result, error) {
	ctx, stop, cancel := o.stoppable(ctx, f.stopPatience)
	defer cancel()
	port, err := progress.Listen(ctx, f.listen)
	if err != nil {
		return contract.Result{}, refused(ending.PortTaken, err)
	}
	board := progress.NewBoard(o.tune.RunID, contract.TunePublishing)
	defer board.Serve(port, o.log)()
	return publish.Run(ctx, publish.Options{
		Tune: o.tune, Open: o.open, Output: f.output, Stop: stop,
		Adapter:  filepath.Join(f.results, filepath.Base(contract.AdapterDir)),
		Training: filepath.Join(f.results, filepath.Base(contract.TrainingFile)),
		Dataset:  f.summary, Board: board, Log: o.log,
	})
}
