package plan

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
	"kaito.sh/kaito/internal/tuning"
)

// runTuning plans a training of MODEL, and the server for its adapter behind it, as for a
// Workspace without a training_config.yaml of its own.
func (o options) runTuning(cmd *cobra.Command, sh shell.Shell, known facts) error {
	found, err := known.model(o.model)
	if err != nil {
		return err
	}
	if no := sizing.Tunable(known.models, found); no != nil {
		return fmt.Errorf("training model %q: %s", found.ID, no.Condition.Message)
	}
	read := sizing.Reading{Model: found}
	if read.Training, err = tuning.Parse(nil, strings.ToLower(o.tune), found); err != nil {
		return fmt.Errorf("settings of a training of %q: %w", found.ID, err)
	}
	if o.length > found.Context {
		return shell.Usage(cmd, "--length %d is more than the context of %d of model %q: ask for less", o.length, found.Context, found.ID)
	}
	load := &read.Training.Load
	if o.batch > 0 {
		load.Batch = o.batch
	}
	if o.length > 0 {
		load.Length = o.length
	}
	read.Adapters = []model.Adapter{{Name: v1beta1.WorkspaceKind, Default: true, Rank: load.Rank}}
	ask := sizing.TrainAsk{Reading: read, Whole: o.length > 0 || o.batch > 0}
	own, err := o.fill(cmd, sh, known, o.selector, &ask.Types, &ask.Nodes)
	if err != nil {
		return err
	}
	if o.prices != "" {
		if ask.Prices, err = readPrices(o.prices); err != nil {
			return err
		}
	}
	return o.writeTraining(sh, found.ID, read, byFlags(sizing.Train(ask, known.types)), ask.Prices, own.notes())
}
