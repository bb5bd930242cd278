package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// longestEvent bounds one event of a stream.
const longestEvent = 4 << 20

// ErrCut means that a stream ended before the answer did.
var ErrCut = errors.New("the engine's stream ended before the answer")

// Chat asks for one whole chat answer; request is the body of the OpenAI API, to which the
// model is added. The engine is asked for a stream: when ctx ends, it stops within a token,
// where llama-server works on for seconds at an answer that goes out in one piece.
func (c *Client) Chat(ctx context.Context, request map[string]any) (string, error) {
	body := map[string]any{"model": c.target.Model, "stream": true}
	for k, v := range request {
		body[k] = v
	}
	if c.target.LoRA != nil {
		body["lora"] = c.target.LoRA
	}
	text, err := c.chat(ctx, body)
	if err != nil {
		return "", fmt.Errorf("ask for a chat answer: %w", err)
	}
	return text, nil
}

func (c *Client) chat(ctx context.Context, body any) (string, error) {
	req, err := c.request(ctx, "/v1/chat/completions", body)
	if err != nil {
		return "", err
	}
	req.Close = true // as for all streams
	resp, err := c.ask(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	return join(io.LimitReader(resp.Body, maxAnswer))
}

// join puts the pieces of a streamed answer together.
func join(stream io.Reader) (string, error) {
	var text strings.Builder
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, longestEvent)
	for lines.Scan() {
		// llama-server tells faults as events called error, vLLM as data.
		name, data, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		data = bytes.TrimSpace(data)
		switch {
		case string(name) != "data" && string(name) != "error":
			continue // a comment that keeps the connection alive, or the line between events
		case string(data) == "[DONE]":
			return text.String(), nil
		}
		piece, err := read(data)
		if err != nil {
			return "", err
		}
		text.WriteString(piece)
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("read the engine's stream: %w", err)
	}
	return "", ErrCut
}

// read is the text of one event.
func read(data []byte) (string, error) {
	var event struct {
		Choices []struct {
			Delta struct {
				Content string `json:"content"`
			} `json:"delta"`
		} `json:"choices"`
		Error *struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(data, &event); err != nil {
		return "", fmt.Errorf("read the engine's stream: %w", err)
	}
	if event.Error != nil {
		return "", &StatusError{event.Error.Code, said(data)}
	}
	if len(event.Choices) == 0 {
		return "", nil // for instance the tokens that were used
	}
	return event.Choices[0].Delta.Content, nil
}
