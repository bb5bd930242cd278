package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kaito.sh/kaito/internal/runner/engine"
)

// folder is a model as far as it is looked at.
func folder(t *testing.T, architecture string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"config.json": `{"architectures": ["` + architecture + `"]}`, "model.safetensors": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestItRefusesWhatVLLMRefuses(t *testing.T) {
	t.Parallel()
	good := folder(t, "LlamaForCausalLM")
	empty := t.TempDir()
	for name, tc := range map[string]struct{ line, want string }{
		"another command":                   {"bench", "the only command is: serve"},
		"no model":                          {"serve --port 1", "one model is served"},
		"a flag that it has not":            {"serve " + good + " --swap-space 4", "swap-space is no flag of vllm"},
		"a value that is none":              {"serve " + good + " --tensor-parallel-size two", "not a whole number"},
		"a parser that it has not":          {"serve " + good + " --tool-call-parser x", "not one of"},
		"more than all of the memory":       {"serve " + good + " --gpu-memory-utilization 1.5", "no part of the memory"},
		"a folder without a model":          {"serve " + empty, "config.json"},
		"nodes that do not divide the GPUs": {"serve " + good + " --nnodes 2 --tensor-parallel-size 3", "must evenly divide the total world size (3)"},
		"a place behind the last":           {"serve " + good + " --nnodes 2 --pipeline-parallel-size 2 --node-rank 2 --headless", "must be between 0 and 1"},
		"a follower with an API server":     {"serve " + good + " --nnodes 2 --pipeline-parallel-size 2 --node-rank 1", "--headless is for the nodes behind the first"},
		"an architecture that is none":      {"serve " + folder(t, "OddForCausalLM"), "are not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := run(ctx, io.Discard, strings.Fields(tc.line)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// What the runner asks of vLLM, by the runner's own client.
func TestTheRunnersClientUnderstandsIt(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"serve", folder(t, "LlamaForCausalLM"), "--served-model-name", "tiny", "--max-model-len", "64"})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(newServer(o))
	t.Cleanup(front.Close)
	base, err := url.Parse(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := engine.New(engine.VLLM, engine.Target{Model: "tiny"}, base, http.DefaultTransport)
	if code, err := client.Status(t.Context(), "/health"); err != nil || code != http.StatusOK {
		t.Errorf("/health is %d, %v", code, err)
	}
	messages := json.RawMessage(`[{"role": "user", "content": "one two three"}]`)
	if n, err := client.CountTokens(t.Context(), messages); err != nil || n != 3 {
		t.Errorf("%d tokens, %v; want 3", n, err)
	}
	text, err := client.Chat(t.Context(), map[string]any{"messages": messages, "max_tokens": 30})
	if err != nil || !strings.Contains(text, "stand-in for vLLM") || !strings.HasSuffix(text, "one two three") {
		t.Errorf("got %q, %v", text, err)
	}
	page, err := client.Metrics(t.Context())
	if err != nil || !strings.Contains(string(page), `vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"} 1`) {
		t.Errorf("got %s, %v", page, err)
	}
	for name, tc := range map[string]struct {
		body string
		want int
	}{
		"another model":    {`{"model": "large", "messages": [{"content": "x"}]}`, http.StatusNotFound},
		"no messages":      {`{"model": "tiny"}`, http.StatusBadRequest},
		"too many tokens":  {`{"model": "tiny", "messages": [{"content": "x"}], "max_tokens": 64}`, http.StatusBadRequest},
		"no JSON":          {`{`, http.StatusBadRequest},
		"a stream is fine": {`{"model": "tiny", "messages": [{"content": "x"}], "stream": true}`, http.StatusOK},
	} {
		resp, err := http.Post(front.URL+"/v1/chat/completions", "application/json", strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d: %s", name, resp.StatusCode, tc.want, body)
		}
		if tc.want == http.StatusOK && !strings.HasSuffix(string(body), "data: [DONE]\n\n") {
			t.Errorf("%s: the stream ends with %q", name, body)
		}
	}
}

// The first node answers only once all others have joined, and ends with any of them, as they
// end with it.
func TestSeveralNodesAnswerTogether(t *testing.T) {
	t.Parallel()
	model := folder(t, "LlamaForCausalLM")
	meet := free(t)
	node := func(rank int, more ...string) (port string, ended chan error, lost context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		port, ended = free(t), make(chan error, 1)
		args := append([]string{
			"serve", model, "--host", "127.0.0.1", "--port", port, "--served-model-name", "tiny", "--tensor-parallel-size", "1", "--pipeline-parallel-size", "3",
			"--nnodes", "3", "--master-port", meet, "--master-addr", "127.0.0.1", "--node-rank", strconv.Itoa(rank),
		}, more...)
		go func() { ended <- run(ctx, io.Discard, args) }()
		return port, ended, cancel
	}
	port, leader, _ := node(0)
	_, first, lose := node(1, "--headless")
	health := func() bool {
		resp, err := http.Get("http://127.0.0.1:" + port + "/health")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	for range 20 {
		if health() {
			t.Fatal("it answers before all nodes have joined")
		}
		time.Sleep(5 * time.Millisecond)
	}
	_, second, _ := node(2, "--headless")
	for i := 0; !health(); i++ {
		if i == 2000 {
			t.Fatal("it does not answer")
		}
		time.Sleep(5 * time.Millisecond)
	}
	lose()
	if err := <-first; err != nil {
		t.Errorf("a node that is told to stop says %v", err)
	}
	if err := <-leader; err == nil || !strings.Contains(err.Error(), "node 1 of 3 was lost") {
		t.Errorf("the first node says %v", err)
	}
	if err := <-second; err != nil && !strings.Contains(err.Error(), "the first node was lost") {
		t.Errorf("the other node says %v", err)
	}
}

// free is a port that nobody has.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestItStopsWhenItIsTold(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	read, write := io.Pipe()
	go func() {
		ended <- run(ctx, write, []string{"serve", folder(t, "LlamaForCausalLM"), "--host", "127.0.0.1", "--port", "0", "--shutdown-timeout", "5"})
	}()
	line := make([]byte, 200)
	if n, err := read.Read(line); err != nil || !strings.Contains(string(line[:n]), "no model is behind this") {
		t.Fatalf("%q, %v", line[:n], err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
