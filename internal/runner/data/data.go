// Package data checks a data set for training, and prepares it: it fetches the files, reads
// every row, and has a child process in Python tokenize them with the model's own tokenizer
// and chat template. Check and preparation run the same code, so what was counted is what is
// trained.
package data

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"kaito.sh/kaito/internal/dataset"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

// Options are what a check or a preparation gets from outside.
type Options struct {
	// Tune says which data and which model.
	Tune contract.Tune
	// Work is a folder for the files while they are read; it is removed afterwards.
	Work string
	// Input is where a volume with data is mounted.
	Input string
	// Tokenizer is the folder with the model's files.
	Tokenizer string
	// Python starts the child that tokenizes, kaito_gate.encode.
	Python []string
	// Environ is the environment of the child, before our own variables.
	Environ []string
	// Threads is how many threads the child computes with.
	Threads int
	// Stderr receives what the child says.
	Stderr io.Writer
	// Patience is how long the child may take for one batch of rows.
	Patience time.Duration
	// Free is how many bytes the disk of a folder can still take.
	Free func(dir string) (int64, error)
	// Sleep waits between attempts to fetch.
	Sleep func(context.Context, time.Duration) error
	// MemoryKills counts processes of this container that were killed for memory.
	MemoryKills func() int
	// Version is the runner's own.
	Version string
	// Log receives what goes on.
	Log *slog.Logger
}

// Check reads and counts everything. The error is an *ending.Ending, unless ctx ended.
func Check(ctx context.Context, o Options) (contract.Dataset, error) {
	return o.read(ctx, func(*contract.Row) error { return nil })
}

// Prepare is Check, and writes the rows and what sums them up; both files appear whole or
// not at all. It refuses data that is not what was checked.
func Prepare(ctx context.Context, o Options, rowsFile, summaryFile string) (contract.Dataset, error) {
	out, err := createRows(rowsFile)
	if err != nil {
		return contract.Dataset{}, o.verdict(err)
	}
	defer out.discard()
	sum, err := o.read(ctx, out.add)
	if err != nil {
		return sum, err
	}
	if want := o.Tune.Input.Digest; want != "" && want != sum.Digest {
		return sum, final(ending.DataChanged, "The data has the digest %s and the one that was checked had %s; it is checked again", sum.Digest, want)
	}
	if err := out.keep(); err != nil {
		return sum, o.verdict(err)
	}
	if err := writeSummary(summaryFile, sum); err != nil {
		return sum, o.verdict(err)
	}
	return sum, nil
}

// read fetches the files and takes every row to each.
func (o Options) read(ctx context.Context, each func(*contract.Row) error) (contract.Dataset, error) {
	defer func() { _ = os.RemoveAll(o.Work) }() // the disk is small, and training needs none of it
	files, notes, err := o.files(ctx)
	if err != nil {
		return contract.Dataset{}, o.verdict(err)
	}
	o.Log.Info("data is read", "files", len(files), "bytes", total(files))
	c := &count{most: o.Tune.Model.MaxLength, context: o.Tune.Model.Context, each: each, notes: notes}
	child, err := startEncoder(ctx, o, c.take)
	if err != nil {
		return contract.Dataset{}, o.verdict(err)
	}
	sum, err := dataset.Read(ctx, files, columns(o.Tune.Settings), child.add)
	// Rows before the one that ended the reading may be wrong too, and then come first.
	if earlier := child.close(); earlier != nil {
		err = earlier
	}
	if err == nil {
		err = c.judge(sum)
	}
	if err != nil {
		return contract.Dataset{}, o.verdict(err)
	}
	return c.dataset(sum), nil
}

func total(files []dataset.File) int64 {
	var n int64
	for _, f := range files {
		n += f.Size
	}
	return n
}

// columns are those that the training configuration names.
func columns(s contract.Settings) dataset.Options {
	text := func(key string) string {
		name, _ := s["DatasetConfig"][key].(string) // null leaves it to us
		return name
	}
	return dataset.Options{MessagesColumn: text("messages_column"), ContextColumn: text("context_column"), ResponseColumn: text("response_column")}
}

// prefixes are ranges of addresses, which the contract has checked.
func prefixes(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	var wrong error
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		wrong = errors.Join(wrong, err)
		all = append(all, p)
	}
	return all, wrong
}
