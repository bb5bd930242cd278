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
)

// pairing is the stub engine alone, the runner before it, and a bare relay of bytes
// before it: what one more process costs on this machine, whatever it does.
type pairing struct {
	alone, through, relay target
	stop                  func() error
}

// runnerLatency measures what the runner adds to each answer at a rate that is far from its limit.
func runnerLatency(ctx context.Context, o options) ([]result, error) {
	p, err := startPair(ctx, o, []byte(`{"model":"stub","messages":[{"role":"user","content":"What is the capital of France?"}]}`))
	if err != nil {
		return nil, err
	}
	at := func(t target) func() ([]time.Duration, error) {
		return func() ([]time.Duration, error) {
			return pace{o.now, latencyRate, latencyLines}.run(ctx, t, o.span/rounds)
		}
	}
	got, err := turns(at(p.alone), at(p.through), at(p.relay))
	if err := errors.Join(err, p.stop()); err != nil {
		return nil, err
	}
	given := map[string]string{
		"engine": "stub in a process of its own, started by the runner", "rate": strconv.Itoa(latencyRate) + "/s",
		"connections": strconv.Itoa(latencyLines), "rounds": strconv.Itoa(rounds), "span": (o.span / rounds).String() + " a round and side",
	}
	var out []result
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		of := func(side, round int) float64 { return percentile(got[side][round], q.at) }
		for _, f := range []struct {
			name   string
			figure func(round int) float64
		}{
			{"stub engine alone, latency ", func(i int) float64 { return of(0, i) }},
			{"through the runner, latency ", func(i int) float64 { return of(1, i) }},
			{"added by the runner, latency ", func(i int) float64 { return of(1, i) - of(0, i) }},
			{"added by a bare TCP relay, latency ", func(i int) float64 { return of(2, i) - of(0, i) }},
		} {
			out = append(out, result{Name: f.name + q.name, Value: median(f.figure), Unit: "ms", Conditions: given})
		}
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
	at := func(t target) func() (float64, error) {
		return func() (float64, error) { return flood{o.now, promptLines}.run(ctx, t, o.span/rounds) }
	}
	got, err := turns(at(p.alone), at(p.through), at(p.relay))
	if err := errors.Join(err, p.stop()); err != nil {
		return nil, err
	}
	given := map[string]string{
		"engine": "stub in a process of its own, started by the runner", "connections": strconv.Itoa(promptLines),
		"body": strconv.Itoa(len(body)) + " bytes", "limits.maxInFlight": strconv.Itoa(promptLines),
		"rounds": strconv.Itoa(rounds), "span": (o.span / rounds).String() + " a round and side",
	}
	alone, through, relay := got[0], got[1], got[2]
	return []result{
		{Name: "stub engine alone, 220 KB prompts", Value: median(func(i int) float64 { return alone[i] }), Unit: "requests/s", Conditions: given},
		{Name: "through the runner, 220 KB prompts", Value: median(func(i int) float64 { return through[i] }), Unit: "requests/s", Conditions: given},
		{Name: "220 KB prompts through the runner against alone", Value: median(func(i int) float64 { return through[i] / alone[i] }), Unit: "x", Conditions: given},
		{Name: "220 KB prompts through a bare TCP relay against alone", Value: median(func(i int) float64 { return relay[i] / alone[i] }), Unit: "x", Conditions: given},
	}, nil
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
	free, err := freeAddresses(ctx, 3)
	if err != nil {
		return nil, err
	}
	engine, front, relay := free[0], free[1], free[2]
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
	bare := exec.CommandContext(ctx, self, beRelay, relay, engine)
	if err := bare.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the relay: %w", err), cmd.Process.Kill(), cmd.Wait())
	}
	p := &pairing{
		alone:   target{engine, chatRequest(engine, body)},
		through: target{front, chatRequest(front, body)},
		relay:   target{relay, chatRequest(relay, body)},
		stop: func() error {
			_ = bare.Process.Kill()
			_ = bare.Wait() // it was killed
			if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
				return fmt.Errorf("stop the runner: %w; it said:\n%s", err, &log)
			}
			return nil
		},
	}
	for _, address := range []string{front, relay} {
		if err := waitFor(ctx, "http://"+address+"/health"); err != nil {
			return nil, errors.Join(err, p.stop())
		}
	}
	return p, nil
}

// freeAddresses are loopback addresses on which nobody listens. They are not on 127.0.0.1,
// from which connections go out, so nobody takes them before they are used.
func freeAddresses(ctx context.Context, n int) ([]string, error) {
	var out []string
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.9.9.9:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		out = append(out, l.Addr().String())
	}
	return out, nil
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
