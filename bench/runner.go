package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kaito.sh/kaito/internal/runner/contract"
)

const (
	latencyRate  = 500 // requests a second
	latencyLines = 16
	promptBytes  = 220_000
	promptLines  = 150
	rounds       = 10 // in which the two sides of a pair take turns
)

// pairing is the stub engine alone and the runner before it.
type pairing struct {
	alone, through target
	stop           func() error
}

// runnerLatency measures what the runner adds to each answer at a rate that is far from its limit.
func runnerLatency(ctx context.Context, o options) ([]result, error) {
	p, err := startPair(ctx, o, []byte(`{"model":"stub","messages":[{"role":"user","content":"What is the capital of France?"}]}`))
	if err != nil {
		return nil, err
	}
	var alone, through []time.Duration
	err = turns(func() error {
		got, err := pace{o.now, latencyRate, latencyLines}.run(ctx, p.alone, o.span/rounds)
		alone = append(alone, got...)
		return err
	}, func() error {
		got, err := pace{o.now, latencyRate, latencyLines}.run(ctx, p.through, o.span/rounds)
		through = append(through, got...)
		return err
	})
	if err := errors.Join(err, p.stop()); err != nil {
		return nil, err
	}
	given := map[string]string{
		"engine": "stub in a process of its own, started by the runner", "rate": strconv.Itoa(latencyRate) + "/s",
		"connections": strconv.Itoa(latencyLines), "requests": fmt.Sprintf("%d alone, %d through the runner", len(alone), len(through)),
	}
	var out []result
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		a, t := percentile(alone, q.at), percentile(through, q.at)
		out = append(out,
			result{Name: "stub engine alone, latency " + q.name, Value: a, Unit: "ms", Conditions: given},
			result{Name: "through the runner, latency " + q.name, Value: t, Unit: "ms", Conditions: given},
			result{Name: "added by the runner, latency " + q.name, Value: t - a, Unit: "ms", Conditions: given},
		)
	}
	return out, nil
}

// runnerPrompts measures how many large prompts pass the runner.
func runnerPrompts(ctx context.Context, o options) ([]result, error) {
	body, err := json.Marshal(map[string]any{
		"model": "stub", "messages": []map[string]string{{"role": "user", "content": strings.Repeat("Lorem ipsum dolor sit amet, \"consectetur\"\n", promptBytes/44)}},
	})
	if err != nil {
		return nil, fmt.Errorf("make a prompt: %w", err)
	}
	p, err := startPair(ctx, o, body)
	if err != nil {
		return nil, err
	}
	var alone, through float64
	add := func(to *float64, t target) func() error {
		return func() error {
			got, err := flood{o.now, promptLines}.run(ctx, t, o.span/rounds)
			*to += got / rounds
			return err
		}
	}
	err = turns(add(&alone, p.alone), add(&through, p.through))
	if err := errors.Join(err, p.stop()); err != nil {
		return nil, err
	}
	given := map[string]string{
		"engine": "stub in a process of its own, started by the runner", "connections": strconv.Itoa(promptLines),
		"body": strconv.Itoa(len(body)) + " bytes", "limits.maxInFlight": strconv.Itoa(promptLines),
	}
	return []result{
		{Name: "stub engine alone, 220 KB prompts", Value: alone, Unit: "requests/s", Conditions: given},
		{Name: "through the runner, 220 KB prompts", Value: through, Unit: "requests/s", Conditions: given},
		{Name: "220 KB prompts through the runner against alone", Value: through / alone, Unit: "x", Conditions: given},
	}, nil
}

// turns lets two sides take turns, each first as often as the other.
func turns(a, b func() error) error {
	for range rounds / 2 {
		for _, work := range []func() error{a, b, b, a} {
			if err := work(); err != nil {
				return err
			}
		}
	}
	return nil
}

// startPair starts the built runner with the stub as its engine.
func startPair(ctx context.Context, o options, body []byte) (*pairing, error) {
	if _, err := os.Stat(o.runner); errors.Is(err, fs.ErrNotExist) {
		return nil, skip(fmt.Sprintf("there is no %s; make build makes it, -runner FILE names another", o.runner))
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the running program: %w", err)
	}
	engine, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	front, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(contract.Serve{
		APIVersion: contract.Version, Workspace: "bench",
		Model: contract.Model{ID: "stub", Context: 1 << 20},
		Engine: contract.Engine{
			Name: "stub", Command: []string{self, beStub, engine}, URL: "http://" + engine, HealthPath: "/health",
		},
		Limits: contract.Limits{MaxInFlight: promptLines},
	})
	if err != nil {
		return nil, fmt.Errorf("write the runner's contract: %w", err)
	}
	file := filepath.Join(o.dir, "runner.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, fmt.Errorf("write the runner's contract: %w", err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, o.runner, "serve", "--config", file, "--listen", front, "--termination-log", "", "--grace", "0s")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the runner: %w", err)
	}
	p := &pairing{
		alone:   target{engine, chatRequest(engine, body)},
		through: target{front, chatRequest(front, body)},
		stop: func() error {
			if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
				return fmt.Errorf("stop the runner: %w; it said:\n%s", err, &log)
			}
			return nil
		},
	}
	if err := waitFor(ctx, "http://"+front+"/health"); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// freeAddress is a loopback address on which nobody listens. It is not 127.0.0.1, from
// which connections go out, so nobody takes it before it is used.
func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.9.9.9:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// waitFor asks address until it answers 200, for half a minute.
func waitFor(ctx context.Context, address string) error {
	client := &http.Client{Timeout: 5 * time.Second}
	for range 600 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return fmt.Errorf("wait for %s: %w", address, err)
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("wait for %s: no answer 200 in 30 s", address)
}
