package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

// cliRuns is how often each command is run: a run takes a few hundredths of a second, and
// the kernel counts CPU time in microseconds.
const cliRuns = 40

// commandLine measures what the program kaito weighs, and what its short commands cost: user
// and system time of the whole process, the median and the tenth of the slowest.
func commandLine(ctx context.Context, o options) ([]result, error) {
	info, err := os.Stat(o.cli)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, skip(o.cli + " is not built: run make build")
	}
	if err != nil {
		return nil, fmt.Errorf("look at the program: %w", err)
	}
	const mb = 1e6
	results := []result{{Name: "kaito, size of the program", Value: float64(info.Size()) / mb, Unit: "MB"}}
	commands := [][]string{{"version", "--client"}, {"plan", "llama-3.3-70b-instruct"}, {"plan", "phi-4-mini-instruct"}}
	all := make([][]time.Duration, len(commands))
	for range cliRuns { // in turns, so that a busy moment is nobody's alone
		for i, args := range commands {
			used, err := cpuOf(ctx, o.cli, args...)
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], used)
		}
	}
	for i, args := range commands {
		slices.Sort(all[i])
		conditions := map[string]string{"runs": strconv.Itoa(cliRuns)}
		at := func(percent int) float64 {
			return all[i][(len(all[i])-1)*percent/100].Seconds() * 1000
		}
		name := fmt.Sprintf("kaito %v", args)
		results = append(
			results,
			result{Name: name + ", CPU, median", Value: at(50), Unit: "ms", Conditions: conditions},
			result{Name: name + ", CPU, 90 % below", Value: at(90), Unit: "ms", Conditions: conditions},
		)
	}
	return results, nil
}

// cpuOf is the CPU time of one run of a program that ends by itself.
func cpuOf(ctx context.Context, program string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"KUBECONFIG=" + os.DevNull} // no cluster: what is measured is the program
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("run %s %v: %w: %s", program, args, err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}
