package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/parquet-go/parquet-go"

	"kaito.sh/kaito/internal/dataset"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/data"
)

const (
	// conversations are how many rows are read, of about 2 KB each; tokenized is a part of them.
	conversations, tokenized = 40_000, 4_000
	// wordsATurn is the length of a turn, turns is how many a row has.
	wordsATurn, turnsARow = 60, 6
)

// trainingTurn and trainingRow are as most data sets have them.
type trainingTurn struct {
	Role    string `json:"role" parquet:"role,dict"`
	Content string `json:"content" parquet:"content"`
}

type trainingRow struct {
	Messages []trainingTurn `json:"messages" parquet:"messages,list"`
}

// datasetPass measures the schema pass of a check, and the tokenizing.
func datasetPass(ctx context.Context, o options) ([]result, error) {
	lines, columns := filepath.Join(o.dir, "train.jsonl"), filepath.Join(o.dir, "train.parquet")
	text, err := writeRows(lines, columns, conversations)
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = os.Remove(lines), os.Remove(columns) }()
	given := map[string]string{
		"rows": strconv.Itoa(conversations), "turns": strconv.Itoa(turnsARow), "text": strconv.FormatInt(text/1_000_000, 10) + " MB",
		"parquet": "snappy", "what": "read, check of every row, duplicates; no digest, no tokens",
	}
	var out []result
	for _, f := range []struct{ name, path string }{{"jsonl", lines}, {"parquet", columns}} {
		pass, err := best(o, func() error { return readRows(ctx, f.path) })
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.name, err)
		}
		out = append(out, result{Name: "dataset pass over " + f.name + ", text per CPU second", Value: pass.ratePerCPU(text), Unit: "MB/s", Conditions: given})
	}
	tokens, err := tokenize(ctx, o)
	return append(out, tokens...), err
}

// writeRows writes the same rows twice and returns the bytes of their text.
func writeRows(lines, columns string, n int) (int64, error) {
	file, err := os.Create(lines)
	if err != nil {
		return 0, fmt.Errorf("write rows: %w", err)
	}
	table, err := os.Create(columns)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("write rows: %w", err), file.Close())
	}
	buffer := bufio.NewWriterSize(file, 1<<20)
	writer := parquet.NewGenericWriter[trainingRow](table, parquet.Compression(&parquet.Snappy))
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same rows each time
	var text int64
	encoder := json.NewEncoder(buffer)
	for range n {
		row, size := trainingData(random)
		text += size
		if err := encoder.Encode(row); err != nil {
			return 0, fmt.Errorf("write rows: %w", err)
		}
		if _, err := writer.Write([]trainingRow{row}); err != nil {
			return 0, fmt.Errorf("write rows: %w", err)
		}
	}
	if err := errors.Join(buffer.Flush(), file.Close(), writer.Close(), table.Close()); err != nil {
		return 0, fmt.Errorf("write rows: %w", err)
	}
	return text, nil
}

// trainingData is one conversation of words that are spelled like words.
func trainingData(random *rand.Rand) (trainingRow, int64) {
	syllables := strings.Fields("har bour cat tug pi lot er the of and in to qui et sea ves sel dock ing que stion an swer ü né \"so\" line\nend")
	var row trainingRow
	var size int64
	for i := range turnsARow {
		var b strings.Builder
		for range wordsATurn {
			for range 1 + random.IntN(3) {
				b.WriteString(syllables[random.IntN(len(syllables))])
			}
			b.WriteByte(' ')
		}
		role := "user"
		if i%2 == 1 {
			role = "assistant"
		}
		row.Messages = append(row.Messages, trainingTurn{role, b.String()})
		size += int64(b.Len())
	}
	return row, size
}

func readRows(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	f := dataset.File{
		Name: filepath.Base(path), Size: info.Size(), SHA256: strings.Repeat("0", 64),
		Open: func(context.Context) (dataset.Handle, error) { return os.Open(path) },
	}
	sum, err := dataset.Read(ctx, []dataset.File{f}, dataset.Options{}, func(dataset.Row) error { return nil })
	if err == nil && sum.Rows < tokenized {
		err = fmt.Errorf("only %d rows", sum.Rows)
	}
	return err
}

// tokenize measures a whole check of a folder, with the CPU time of the child in Python beside ours.
func tokenize(ctx context.Context, o options) ([]result, error) {
	venv, err := exec.CommandContext(ctx, "hack/python.sh").Output()
	if err != nil {
		return nil, skip("no Python environment can be made: " + err.Error())
	}
	input := filepath.Join(o.dir, "input")
	if err := os.MkdirAll(input, 0o755); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	text, err := writeRows(filepath.Join(input, "train.jsonl"), filepath.Join(o.dir, "unused.parquet"), tokenized)
	if err != nil {
		return nil, err
	}
	source, err := filepath.Abs("runtimes/gate/src")
	if err != nil {
		return nil, fmt.Errorf("find the gate's Python: %w", err)
	}
	checked := data.Options{
		Tune: contract.Tune{
			Input: contract.TuneInput{Volume: true}, Model: contract.TuneModel{Context: 1 << 20, MaxLength: 1 << 20},
		},
		Work: filepath.Join(o.dir, "work"), Input: input, Tokenizer: o.tokenizer,
		Python:  []string{filepath.Join(strings.TrimSpace(string(venv)), "bin", "python"), "-m", "kaito_gate.encode"},
		Environ: []string{"PYTHONPATH=" + source}, Threads: 1, Stderr: o.progress, Patience: time.Hour,
		MemoryKills: func() int { return 0 }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	before, watch := usedByChildren(), o.stopwatch()
	sum, err := data.Check(ctx, checked)
	if err != nil {
		return nil, fmt.Errorf("tokenize: %w", err)
	}
	_, cpu := watch.stop()
	child := usedByChildren() - before
	given := map[string]string{
		"tokenizer": o.tokenizer, "rows": strconv.Itoa(tokenized), "threads": "1", "tokens": strconv.FormatInt(sum.Tokens, 10),
		"what": "a whole check of a volume: digest, rows, chat template, tokens; with the start of the child",
	}
	return []result{
		{Name: "check with tokens, text per CPU second of all", Value: float64(text) / 1e6 / (cpu + child).Seconds(), Unit: "MB/s", Conditions: given},
		{Name: "check with tokens, tokens per CPU second of all", Value: float64(sum.Tokens) / (cpu + child).Seconds(), Unit: "tokens/s", Conditions: given},
		{Name: "check with tokens, share of the child", Value: child.Seconds() / (cpu + child).Seconds(), Unit: "x", Conditions: given},
	}, nil
}

// usedByChildren is the CPU time of children that have ended.
func usedByChildren() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
