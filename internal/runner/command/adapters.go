package command

import (
	"context"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/runner/adapters"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

// adaptersFlags are the flags of adapters.
type adaptersFlags struct {
	config         string
	dir            string
	volumes        string
	terminationLog string
	logLevel       slog.Level
}

func adaptersCommand(w World) *cobra.Command {
	var f adaptersFlags
	cmd := &cobra.Command{
		Use:   "adapters --config FILE",
		Short: "Bring the adapters that are served beside a model",
		Long: `Bring the LoRA adapters that FILE names, from registries and from mounted volumes, check that
each fits the model and the engine, and write it as the engine loads it: PEFT's two files for
vLLM, one GGUF file for llama.cpp.

The exit code is 2 where only another adapter or another setting helps, 1 where another try may.
The termination log says why, as JSON.`,
		Example: `  # in a pod, as an init container
  kaito-runner adapters --config /etc/kaito/runner.json

  # on a desk
  kaito-runner adapters --config runner.json --dir out --volumes adapters --termination-log end.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAdapters(cmd.Context(), w, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", contract.ConfigFile, "file that says what to serve")
	flags.StringVar(&f.dir, "dir", contract.AdaptersDir, "folder that receives the adapters")
	flags.StringVar(&f.volumes, "volumes", contract.AdapterVolumesDir, "folder with a folder for each adapter that is on a volume")
	flags.StringVar(&f.terminationLog, "termination-log", "/dev/termination-log", "file for the reason of the end; empty writes none")
	flags.TextVar(&f.logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
	return cmd
}

// runAdapters brings adapters, and leaves word of how it ended where it could not.
func runAdapters(ctx context.Context, w World, f adaptersFlags) error {
	log := slog.New(slog.NewJSONHandler(w.Stderr, &slog.HandlerOptions{Level: f.logLevel}))
	err := bringAdapters(ctx, w, f, log)
	if err == nil {
		return nil
	}
	end := ending.From(err, adapters.Phase)
	log.Error("adapters are not there", "reason", end.Reason, "message", end.Message, "exitCode", end.ExitCode)
	if f.terminationLog == "" {
		return end
	}
	if err := end.Write(f.terminationLog); err != nil {
		log.Error("nobody will learn the reason", "err", err)
	}
	return end
}

// bringAdapters reads the contract and does what it says, until a signal ends it.
func bringAdapters(ctx context.Context, w World, f adaptersFlags, log *slog.Logger) error {
	said, err := load(f.config)
	if err != nil {
		return refused(ending.ConfigInvalid, err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	signals, _ := w.Signals()
	go stopAt(ctx, signals, stop)
	return adapters.Bring(ctx, adapters.Options{Serve: said, Dir: f.dir, Volumes: f.volumes, Sleep: sleep, Log: log})
}

// stopAt calls stop at the first signal, unless ctx ends before.
func stopAt(ctx context.Context, signals <-chan os.Signal, stop func()) {
	select {
	case <-signals:
		stop()
	case <-ctx.Done():
	}
}
