// Package engine is what the runner knows of an engine's HTTP interface: health,
// metrics, token counts and chat answers.
package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"
)

// Names of engines that this package knows more of than the OpenAI interface.
const (
	// LlamaCpp is llama.cpp's llama-server.
	LlamaCpp = "llamacpp"
	// VLLM is vLLM's OpenAI server.
	VLLM = "vllm"
)

// Bounds on what is read of an engine's answers into memory.
const (
	maxAnswer  = 64 << 20
	maxMetrics = 8 << 20
)

// Client speaks to one engine. It is safe for concurrent use.
type Client struct {
	name   string
	target Target
	base   *url.URL
	http   *http.Client
}

// Target is what an engine is asked for: a model or one of its adapters.
type Target struct {
	// Model is the engine's own name of it.
	Model string
	// LoRA is the value of the request's field lora, by which llama.cpp chooses among its
	// adapters; nil where it has none.
	LoRA json.RawMessage
}

// Base is the target of the model itself, beside so many adapters. llama.cpp must be told
// that none of them is wanted: a request that says nothing is answered without any, but on
// what a request with an adapter has left in the KV cache (measured on llama-server 0.7.0).
func Base(engine, model string, adapters int) Target {
	t := Target{Model: model}
	if engine == LlamaCpp && adapters > 0 {
		t.LoRA = []byte(`[{"id":0,"scale":0}]`)
	}
	return t
}

// Adapter is the target of the adapter with this name, which is the index-th that the
// engine was started with, at a scale. vLLM knows adapters by their names.
func Adapter(engine, name string, index int, scale float64) Target {
	t := Target{Model: name}
	if engine == LlamaCpp {
		// Adapters that are not named get the scale 0.
		t.LoRA = fmt.Appendf(nil, `[{"id":%d,"scale":%s}]`, index, strconv.FormatFloat(scale, 'f', -1, 64))
	}
	return t
}

// New makes a client of the engine with this name at base, which is asked for target.
func New(name string, target Target, base *url.URL, transport http.RoundTripper) *Client {
	return &Client{name: name, target: target, base: base, http: &http.Client{Transport: transport}}
}

// StatusError is an engine's answer other than 200.
type StatusError struct {
	// Status is the HTTP status.
	Status int
	// Message is what the engine said.
	Message string
}

// Error says status and message.
func (e *StatusError) Error() string {
	return fmt.Sprintf("engine answered %d: %s", e.Status, e.Message)
}

// Status asks path and returns the HTTP status.
func (c *Client) Status(ctx context.Context, path string) (int, error) {
	resp, err := c.get(ctx, path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxMetrics))
	return resp.StatusCode, nil
}

// Metrics returns the engine's metrics in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	resp, err := c.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, &StatusError{resp.StatusCode, "no metrics"}
	}
	out, err := io.ReadAll(io.LimitReader(resp.Body, maxMetrics))
	if err != nil {
		return nil, fmt.Errorf("read the engine's metrics: %w", err)
	}
	return out, nil
}

// CountTokens says how many tokens the messages are after the model's chat template.
// For an engine that does not count it is an estimate of four letters a token.
func (c *Client) CountTokens(ctx context.Context, messages json.RawMessage) (int, error) {
	switch c.name {
	case LlamaCpp:
		var applied struct {
			Prompt string `json:"prompt"`
		}
		if err := c.post(ctx, "/apply-template", map[string]any{"messages": messages}, &applied); err != nil {
			return 0, fmt.Errorf("apply the chat template: %w", err)
		}
		var counted struct {
			Tokens []json.RawMessage `json:"tokens"`
		}
		body := map[string]any{"content": applied.Prompt, "add_special": false, "parse_special": true}
		if err := c.post(ctx, "/tokenize", body, &counted); err != nil {
			return 0, fmt.Errorf("count tokens: %w", err)
		}
		return len(counted.Tokens), nil
	case VLLM:
		var counted struct {
			Count int `json:"count"`
		}
		if err := c.post(ctx, "/tokenize", map[string]any{"model": c.target.Model, "messages": messages}, &counted); err != nil {
			return 0, fmt.Errorf("count tokens: %w", err)
		}
		return counted.Count, nil
	default:
		return (utf8.RuneCount(messages) + 3) / 4, nil
	}
}

func (c *Client) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask the engine for %s: %w", path, err)
	}
	return c.http.Do(req)
}

func (c *Client) post(ctx context.Context, path string, body, into any) error {
	req, err := c.request(ctx, path, body)
	if err != nil {
		return err
	}
	resp, err := c.ask(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the engine's answer: %w", err)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read the engine's answer: %w", err)
	}
	return nil
}

// request is a POST of body, as JSON, to path.
func (c *Client) request(ctx context.Context, path string, body any) (*http.Request, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(path).String(), bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// ask sends req; an answer other than 200 is a *StatusError.
func (c *Client) ask(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the engine's answer: %w", err)
	}
	return nil, &StatusError{resp.StatusCode, said(answer)}
}

// said is the message in an engine's error body, or the body itself.
func said(body []byte) string {
	var e struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
		Message string `json:"message"` // vLLM before 0.10
	}
	if json.Unmarshal(body, &e) == nil {
		if e.Error.Message != "" {
			return e.Error.Message
		}
		if e.Message != "" {
			return e.Message
		}
	}
	return string(body[:min(len(body), 1000)])
}
