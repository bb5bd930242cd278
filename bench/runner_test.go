package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own program be what is measured, as bench itself is.
func TestMain(m *testing.M) {
	if measured, _ := roles(context.Background(), os.Args); measured {
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestRunnerIsMeasuredInPairs(t *testing.T) {
	t.Parallel()
	runner := filepath.Join(t.TempDir(), "kaito-runner")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", runner, "kaito.sh/kaito/cmd/kaito-runner").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "results.json")
	var table, progress bytes.Buffer
	args := []string{"-run", "^runner (latency|large)", "-runner", runner, "-span", "240ms", "-out", file, "-dir", t.TempDir()}
	if err := run(t.Context(), args, &table, &progress); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var results []result
	if err := json.Unmarshal(raw, &results); err != nil {
		t.Fatal(err)
	}
	if len(results) != 12 {
		t.Errorf("%d figures, want 12:\n%s", len(results), &table)
	}
	for _, r := range results {
		if !strings.HasPrefix(r.Name, "added") && r.Value <= 0 || r.Conditions["connections"] == "" || r.Conditions["load"] == "" {
			t.Errorf("figure without meaning: %+v", r)
		}
	}
}

func TestWhatCannotRunHereIsNamed(t *testing.T) {
	t.Parallel()
	var table, progress bytes.Buffer
	args := []string{"-run", "^runner latency", "-runner", "/nowhere/kaito-runner", "-out", filepath.Join(t.TempDir(), "r.json")}
	if err := run(t.Context(), args, &table, &progress); err != nil {
		t.Fatal(err)
	}
	const want = "skipped runner latency: there is no /nowhere/kaito-runner; make build makes it, -runner FILE names another\n"
	if table.String() != want {
		t.Errorf("said %q", table.String())
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var of []time.Duration
	for i := range 100 {
		of = append(of, time.Duration(100-i)*time.Millisecond)
	}
	for p, want := range map[float64]float64{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := percentile(of, p); got != want {
			t.Errorf("p%v = %v, want %v", 100*p, got, want)
		}
	}
	if got := percentile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestTurnsGiveEachSideEachRound(t *testing.T) {
	t.Parallel()
	var order strings.Builder
	side := func(name string) func() (float64, error) {
		return func() (float64, error) { order.WriteString(name); return float64(order.Len()), nil }
	}
	got, err := turns(side("a"), side("b"))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("abba", rounds/2); order.String() != want {
		t.Errorf("order %s, want %s", order.String(), want)
	}
	// a is 1, 4, 5, 8 … and b 2, 3, 6, 7 …: a is ahead of b by -1, 1, -1, 1 …
	if m := median(func(i int) float64 { return got[0][i] - got[1][i] }); m != 0 {
		t.Errorf("median difference %v, want 0", m)
	}
	number := func(i int) float64 { return float64(i) }
	if low, high := quantile(number, 0), quantile(number, 1); low != 0 || high != rounds-1 {
		t.Errorf("quantiles from %v to %v, want 0 to %d", low, high, rounds-1)
	}
}
