package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kaito.sh/kaito/internal/buildinfo"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/dataset"
	"kaito.sh/kaito/internal/dataset/source"
)

// checkFlags are the flags of check.
type checkFlags struct {
	columns dataset.Options
	output  string
	dir     string
}

func newCheck(sh shell.Shell) *cobra.Command {
	f := checkFlags{output: "table"}
	cmd := &cobra.Command{
		Use:   "check FILE|DIR|URL...",
		Short: "Read data as a Workspace would, and say what is wrong with which row",
		Long: `Read all of the data and check every row: columns, roles, turns, what is empty and what
is there twice. Formats are parquet, JSON lines, JSON, CSV and Arrow, by their content.

Nothing is sent anywhere. What needs the model's tokenizer, the length of rows in tokens,
is counted in the cluster, before a node is asked for.`,
		Example: shell.Examples(sh.Name, `
			# A file, all files of a folder, an address
			KAITO dataset check harbour.parquet
			KAITO dataset check data/
			KAITO dataset check "https://data.example.com/train.jsonl?signature=..."

			# Columns of other names, as DatasetConfig of a training configuration says them
			KAITO dataset check alpaca.json --context-column instruction --response-column output`),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return shell.Usage(cmd, "FILE, DIR or URL is missing")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := writers()[f.output]
			if !ok {
				return shell.Usage(cmd, "-o %s is not one of table and json", f.output)
			}
			sum, err := f.check(cmd.Context(), sh, args)
			if err != nil {
				return err
			}
			return write(sh, sum)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.columns.MessagesColumn, "messages-column", "", "`NAME` of the column with conversations")
	flags.StringVar(&f.columns.ContextColumn, "context-column", "", "`NAME` of the column with prompts")
	flags.StringVar(&f.columns.ResponseColumn, "response-column", "", "`NAME` of the column with answers, or with plain text")
	flags.StringVar(&f.columns.Extension, "format", "", "`FORMAT` of files whose content and name do not say it: csv, json, jsonl")
	flags.StringVar(&f.dir, "dir", "", "scratch `DIR` for what is fetched (default: the system's temporary folder)")
	flags.StringVarP(&f.output, "output", "o", f.output, "`FORMAT`: table or json")
	return cmd
}

// check fetches what is elsewhere and reads everything.
func (f checkFlags) check(ctx context.Context, sh shell.Shell, args []string) (dataset.Summary, error) {
	scratch, err := os.MkdirTemp(f.dir, "kaito-dataset-")
	if err != nil {
		return dataset.Summary{}, fmt.Errorf("create scratch folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	var files []dataset.File
	for i, arg := range args {
		found, err := find(ctx, sh, arg, filepath.Join(scratch, fmt.Sprint(i)))
		if err != nil {
			return dataset.Summary{}, err
		}
		files = append(files, found...)
	}
	progress := sh.Progress("reading")
	defer progress.End()
	sum, err := dataset.Read(ctx, watched(files, progress), f.columns, func(dataset.Row) error { return nil })
	if err != nil {
		return sum, fmt.Errorf("check data: %w", err)
	}
	return sum, nil
}

// find makes files of one argument.
func find(ctx context.Context, sh shell.Shell, arg, scratch string) ([]dataset.File, error) {
	if lower := strings.ToLower(arg); strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") {
		return fetch(ctx, sh, arg, scratch)
	}
	info, err := os.Stat(arg)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file or folder %q", arg)
	case err != nil:
		return nil, fmt.Errorf("look at data: %w", err)
	case !info.IsDir():
		return []dataset.File{{Name: arg, Size: info.Size(), Open: func(context.Context) (dataset.Handle, error) { return os.Open(arg) }}}, nil
	}
	files, others, err := source.Folder(arg)
	if err != nil {
		return nil, fmt.Errorf("look through %q: %w", arg, err)
	}
	if len(others) > 0 {
		_, _ = fmt.Fprintf(sh.Err, "Left out because of their names: %s\n", source.Some(others))
	}
	for i := range files {
		files[i].Name = filepath.Join(arg, files[i].Name)
	}
	return files, nil
}

func fetch(ctx context.Context, sh shell.Shell, url, scratch string) ([]dataset.File, error) {
	progress := sh.Progress("fetching")
	defer progress.End()
	files, err := source.Web(ctx, []string{url}, source.Options{
		Dir: scratch, Anywhere: true, Sleep: sh.Sleep, Version: buildinfo.Version(),
		Report: func(_ string, done, total int64) { progress.At(done, max(done, total)) },
		Log:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("fetch data: %w", err)
	}
	return files, nil
}

// watched shows how much of all files has been read. A file whose digest is not known is read twice.
func watched(files []dataset.File, progress *shell.Progress) []dataset.File {
	w := &watch{progress: progress}
	out := make([]dataset.File, len(files))
	for i, f := range files {
		w.total += f.Size
		if f.SHA256 == "" {
			w.total += f.Size
		}
		open := f.Open
		f.Open = func(ctx context.Context) (dataset.Handle, error) {
			h, err := open(ctx)
			return &handle{h, w}, err
		}
		out[i] = f
	}
	return out
}

type watch struct {
	progress    *shell.Progress
	done, total int64
}

func (w *watch) add(n int) {
	w.done += int64(n)
	w.progress.At(min(w.done, w.total), w.total)
}

type handle struct {
	dataset.Handle
	watch *watch
}

func (h *handle) Read(p []byte) (int, error) {
	n, err := h.Handle.Read(p)
	h.watch.add(n)
	return n, err
}

func (h *handle) ReadAt(p []byte, at int64) (int, error) {
	n, err := h.Handle.ReadAt(p, at)
	h.watch.add(n)
	return n, err
}
