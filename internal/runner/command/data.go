package command

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/data"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/fetch/hub"
	"kaito.sh/kaito/internal/runner/progress"
	"kaito.sh/kaito/internal/runner/serve"
)

// batchPatience is how long the tokenizer may take for one batch, of 256 rows at most.
const batchPatience = 5 * time.Minute

// dataFlags are the flags of check and prepare.
type dataFlags struct {
	config         string
	listen         string
	terminationLog string
	dir            string
	input          string
	python         string
	logLevel       slog.Level
}

func (f *dataFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", contract.TuneFile, "file that says which data and which model")
	flags.StringVar(&f.terminationLog, "termination-log", "/dev/termination-log", "file for how it ended; empty writes none")
	flags.StringVar(&f.dir, "data", contract.DataDir, "folder for the data")
	flags.StringVar(&f.input, "input", contract.InputDir, "folder where a volume with data is mounted")
	flags.StringVar(&f.python, "python", "python3", "Python with the tokenizer kaito_gate")
	flags.TextVar(&f.logLevel, "log-level", slog.LevelInfo, "DEBUG, INFO, WARN or ERROR")
}

func checkCommand(w World) *cobra.Command {
	var f dataFlags
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Read a whole data set and count its tokens",
		Long: `Read all of the data that FILE names, and count every row in tokens of the model's own
tokenizer and chat template. Of the model only what tokenizes is fetched.

The termination log says what was found, or what is wrong with which row of which file, as
JSON. The exit code is 2 where somebody has to change something, and 1 where another try
may go well.`,
		Example: `  # in a pod
  /kaito/kaito-runner check --config /etc/kaito/tune.json

  # on a desk
  kaito-runner check --config tune.json --data work --termination-log end.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.end(cmd.Context(), w, "checked", f.check) },
	}
	f.add(cmd)
	return cmd
}

func prepareCommand(w World) *cobra.Command {
	var f dataFlags
	cmd := &cobra.Command{
		Use:   "prepare --config FILE",
		Short: "Fetch data and weights, and write the rows to train on",
		Long: `Fetch the data that FILE names and the weights of the model, and write the rows in tokens
for train. Data with another digest than the one that was checked is refused.

  GET /progress   the phase as JSON

Termination log and exit codes are those of check.`,
		Example: `  # in a pod
  /kaito/kaito-runner prepare --config /etc/kaito/tune.json

  # on a desk
  kaito-runner prepare --config tune.json --data work --listen 127.0.0.1:5000 --termination-log end.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.end(cmd.Context(), w, "prepared", f.prepare) },
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.listen, "listen", fmt.Sprintf(":%d", contract.Port), "address to listen on")
	return cmd
}

// reading is a check or a preparation.
type reading func(context.Context, World, *slog.Logger) (contract.Tune, contract.Dataset, error)

// end runs a reading and leaves word of how it ended.
func (f *dataFlags) end(ctx context.Context, w World, done string, run reading) error {
	ctx, stop := untilStopped(ctx, w)
	defer stop()
	log := slog.New(slog.NewJSONHandler(w.Stderr, &slog.HandlerOptions{Level: f.logLevel}))
	said, found, err := run(ctx, w, log)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		log.Info("data is "+done, "rows", found.Rows, "tokens", found.Tokens, "format", found.Format, "digest", found.Digest)
		result := contract.Result{Reason: contract.Done, RunID: said.RunID, Seconds: w.Now().Sub(w.Started).Seconds(), Dataset: &found}
		if err := ending.WriteResult(f.terminationLog, result); err != nil {
			return fmt.Errorf("tell the result: %w", err)
		}
		return nil
	}
	end := ending.From(err, contract.TunePreparing)
	log.Error("data cannot be used", "reason", end.Reason, "message", end.Message, "exitCode", end.ExitCode)
	if f.terminationLog == "" {
		return end
	}
	if err := end.Write(f.terminationLog); err != nil {
		log.Error("nobody will learn the reason", "err", err)
	}
	return end
}

func (f *dataFlags) check(ctx context.Context, w World, log *slog.Logger) (contract.Tune, contract.Dataset, error) {
	said, err := loadTune(f.config)
	if err != nil {
		return said, contract.Dataset{}, refused(ending.ConfigInvalid, err)
	}
	get, err := tokenizerFor(said.Weights, w, log)
	if err != nil {
		return said, contract.Dataset{}, refused(ending.ConfigInvalid, err)
	}
	if err := get(ctx, func(int64, int64) {}); err != nil {
		return said, contract.Dataset{}, err
	}
	found, err := data.Check(ctx, f.options(said, w, log))
	return said, found, err
}

func (f *dataFlags) prepare(ctx context.Context, w World, log *slog.Logger) (contract.Tune, contract.Dataset, error) {
	said, err := loadTune(f.config)
	if err != nil {
		return said, contract.Dataset{}, refused(ending.ConfigInvalid, err)
	}
	port, err := progress.Listen(ctx, f.listen)
	if err != nil {
		return said, contract.Dataset{}, refused(ending.PortTaken, err)
	}
	defer progress.NewBoard(said.RunID, contract.TunePreparing).Serve(port, log)()
	if said.Model.Fetch {
		get, err := fetchFor(&said.Weights, w, log)
		if err != nil {
			return said, contract.Dataset{}, refused(ending.ConfigInvalid, err)
		}
		if err := get(ctx, func(int64, int64) {}); err != nil {
			return said, contract.Dataset{}, err
		}
	}
	found, err := data.Prepare(ctx, f.options(said, w, log),
		filepath.Join(f.dir, filepath.Base(contract.RowsFile)), filepath.Join(f.dir, filepath.Base(contract.SummaryFile)))
	return said, found, err
}

// untilStopped is a context that ends when the container is told to stop.
func untilStopped(ctx context.Context, w World) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals, _ := w.Signals()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-signals:
				if sig == syscall.SIGTERM || sig == syscall.SIGINT {
					cancel(&ending.Ending{
						Reason: ending.Stopped, Message: "The container was stopped while the data was read",
						ExitCode: ending.CodeFailed, Phase: contract.TunePreparing,
					})
				}
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (f *dataFlags) options(said contract.Tune, w World, log *slog.Logger) data.Options {
	return data.Options{
		Tune: said, Work: filepath.Join(f.dir, ".files"), Input: f.input, Tokenizer: said.Weights.Dir,
		Python: []string{f.python, "-m", "kaito_gate.encode"}, Environ: w.Environ, Threads: runtime.GOMAXPROCS(0), Stderr: w.Stderr,
		Patience: batchPatience, Free: free, Sleep: sleep,
		MemoryKills: func() int { return ending.MemoryKills(w.Cgroup) }, Version: w.Version, Log: log,
	}
}

// tokenizerFiles are the files of a model that tokenize, as far as it has them.
func tokenizerFiles() []string {
	return []string{
		"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "chat_template.json",
		"config.json", "generation_config.json",
	}
}

// tokenizerFor makes the fetch of what tokenizes.
func tokenizerFor(from contract.Weights, w World, log *slog.Logger) (serve.FetchFunc, error) {
	from.Bytes = 0
	if from.Image != nil {
		only := *from.Image
		only.Files = tokenizerFiles()
		from.Image = &only
	}
	if from.Hub != nil {
		only := *from.Hub
		only.Files = tokenizerFiles()
		from.Hub = &only
	}
	source, err := sourceOf(&from, w)
	if err != nil {
		return nil, err
	}
	if h, ok := source.(*hub.Source); ok {
		h.Lenient = true
	}
	return fetching(source, from, log), nil
}
