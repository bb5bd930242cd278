// Command bench measures what we promise in figures. It writes bench/results.json
// and prints a table.
//
//	go run ./bench
//	go run ./bench -run package -bytes 4000000000
//	go run ./bench -run runner -span 20s
//	go run ./bench -run tokens -cluster
//	go run ./bench -run "command line"
//	go run ./bench -run trainer
//	go run ./bench -run workspaces -n 1000
//	go run ./bench -run nodeclaims -n 1000 -quiet 1m
//
// Figures of which one is compared with another are taken in one run, in turns.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"text/tabwriter"
	"time"
)

// result is one figure.
type result struct {
	Name       string            `json:"name"`
	Value      float64           `json:"value"`
	Unit       string            `json:"unit"`
	Conditions map[string]string `json:"conditions"`
}

// options are what every benchmark gets.
type options struct {
	// dir is a scratch folder on the disk that is measured.
	dir string
	// bytes is the size of the model.
	bytes int64
	// stopwatch starts a measurement of wall and CPU time.
	stopwatch func() stopwatch
	// now is the clock.
	now func() time.Time
	// span is how long each side of a pair is measured.
	span time.Duration
	// runner is the built kaito-runner.
	runner string
	// cli is the built kaito.
	cli string
	// tokenizer is the folder with the files of a model that tokenize.
	tokenizer string
	// cluster says that benchmarks may start a local cluster.
	cluster bool
	// workspaces is how many Workspaces the operator gets, quiet how long nothing happens.
	workspaces int
	quiet      time.Duration
	// progress gets a word on what goes on.
	progress io.Writer
}

// benchmark is a name and a function that returns figures with those conditions that
// are its own, or a skip.
type benchmark struct {
	name string
	run  func(context.Context, options) ([]result, error)
}

// skip is why a benchmark was not run here.
type skip string

// Error says why.
func (s skip) Error() string { return string(s) }

// benchmarks is the list that later work adds to.
func benchmarks() []benchmark {
	return []benchmark{
		{"model package", packageModel},
		{"model push", pushModel},
		{"runner latency", runnerLatency},
		{"runner large prompts", runnerPrompts},
		{"trainer", trainerSpeed},
		{"workspaces", workspaces},
		{"nodeclaims", claims},
		{"runner tokens", runnerTokens},
		{"dataset", datasetPass},
		{"command line", commandLine},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	measured, err := roles(ctx, os.Args)
	if !measured {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	only := flags.String("run", ".", "run benchmarks whose name matches this `PATTERN`")
	size := flags.Int64("bytes", 1_000_000_000, "`SIZE` of the model that is packaged")
	file := flags.String("out", "bench/results.json", "`FILE` for the results")
	scratch := flags.String("dir", "", "scratch `DIR` on the disk to measure (default: the system's temporary folder)")
	span := flags.Duration("span", 20*time.Second, "measure each side of a pair this `LONG`")
	runner := flags.String("runner", "bin/kaito-runner", "`FILE` of the built runner")
	cli := flags.String("cli", "bin/kaito", "`FILE` of the built kaito")
	tokenizer := flags.String("tokenizer", "runtimes/gate/tests/model", "`DIR` with a model's tokenizer.json and chat template")
	cluster := flags.Bool("cluster", false, "start a local cluster named bench for what needs one, and remove it")
	n := flags.Int("n", 200, "`NUMBER` of Workspaces and fake nodes, or of NodeClaims")
	quiet := flags.Duration("quiet", 5*time.Minute, "count writes in a quiet time this `LONG`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("read -run: %w", err)
	}
	dir, err := os.MkdirTemp(*scratch, "kaito-bench-")
	if err != nil {
		return fmt.Errorf("create scratch folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// The load at the start is a condition; ours comes later.
	conditions := machine()
	conditions["date"] = time.Now().UTC().Format(time.RFC3339)
	o := options{
		dir: dir, bytes: *size, stopwatch: startWatch(time.Now), now: time.Now,
		span: *span, runner: *runner, cli: *cli, cluster: *cluster, tokenizer: *tokenizer, progress: progress,
		workspaces: *n, quiet: *quiet,
	}
	var results []result
	for _, b := range benchmarks() {
		if !pattern.MatchString(b.name) {
			continue
		}
		_, _ = fmt.Fprintln(progress, "measuring", b.name)
		got, err := b.run(ctx, o)
		var why skip
		switch {
		case errors.As(err, &why):
			_, _ = fmt.Fprintf(out, "skipped %s: %s\n", b.name, why)
		case err != nil:
			return fmt.Errorf("measure %s: %w", b.name, err)
		}
		for _, r := range got {
			all := maps.Clone(conditions)
			maps.Copy(all, r.Conditions)
			r.Conditions = all
			results = append(results, r)
		}
	}
	return write(results, *file, out)
}

// write prints the table and keeps the file.
func write(results []result, file string, out io.Writer) error {
	raw, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, r := range results {
		_, _ = fmt.Fprintf(t, "%s\t%.2f\t %s\t\n", r.Name, r.Value, r.Unit)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print results: %w", err)
	}
	if len(results) == 0 {
		return nil
	}
	c := results[0].Conditions
	_, err = fmt.Fprintf(out, "on %s, %s cores, %s, load %s at the start, %s\n", c["cpu"], c["cores"], c["kernel"], c["load"], c["go"])
	return err
}
