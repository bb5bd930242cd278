package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tmaxmax/go-sse"
)

// The part of the OpenAI API that a conversation needs. The official client would
// do, but it triples the size of this program; the stream itself is read by a library.

// message is one turn of a conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	// stopped is true for an answer that does not go to its end.
	stopped bool
}

// request asks for the next turn.
type request struct {
	Model       string    `json:"model,omitempty"`
	Messages    []message `json:"messages"`
	Stream      bool      `json:"stream"`
	Temperature *float64  `json:"temperature,omitempty"`
	MaxTokens   *int      `json:"max_tokens,omitempty"`
}

// choice is the one answer, as a part of a stream or as a whole.
type choice struct {
	Delta        words  `json:"delta"`
	Message      words  `json:"message"`
	FinishReason string `json:"finish_reason"`
}

type words struct {
	Content   string `json:"content"`
	Refusal   string `json:"refusal"`
	Reasoning string `json:"reasoning_content"`
}

// refusalBody is the error of the OpenAI API, in an answer or in the middle of a stream.
type refusalBody struct {
	Message string          `json:"message"`
	Code    json.RawMessage `json:"code"`
}

type completion struct {
	Choices []choice     `json:"choices"`
	Error   *refusalBody `json:"error"`
}

// part is what has come since the part before.
type part struct {
	text, thought string
	// end is why the answer ends here, or empty.
	end string
}

// refusal is a server that says no.
type refusal struct {
	status        int
	code, message string
	retryAfter    time.Duration
}

func (r *refusal) Error() string {
	if r.status == 0 {
		return "the model broke the answer off: " + r.message
	}
	return fmt.Sprintf("the model answered %d: %s", r.status, r.message)
}

// errCut is a stream that ends without an end.
var errCut = errors.New("the connection ended in the middle of the answer")

// Bounds of what is read from a server.
const (
	maxEvent   = 4 << 20
	maxRefusal = 64 << 10
)

// stream asks, and tells each part as it comes.
func (s *site) stream(ctx context.Context, q request, tell func(part)) error {
	q.Stream = true
	body, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("write the question: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask %s: %w", s.base, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	resp, err := s.client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) { // its address is ours alone, and says nothing
			err = failed.Err
		}
		return stopped(ctx, fmt.Errorf("ask the model: %w", err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "application/json" {
		return whole(resp.Body, tell)
	}
	return stopped(ctx, parts(resp.Body, tell))
}

// stopped is the reason of a context that has ended, else err.
func stopped(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// parts reads server-sent events until the answer ends.
func parts(body io.Reader, tell func(part)) error {
	ended := false
	for event, err := range sse.Read(body, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			return fmt.Errorf("%w: %w", errCut, err)
		}
		if strings.TrimSpace(event.Data) == "[DONE]" {
			return nil
		}
		if event.Data == "" {
			continue
		}
		var c completion
		if err := json.Unmarshal([]byte(event.Data), &c); err != nil {
			if ended {
				return nil
			}
			return fmt.Errorf("%w: read a part of it: %w", errCut, err)
		}
		if c.Error != nil {
			return c.Error.refusal(0)
		}
		for _, x := range c.Choices {
			tell(part{text: x.Delta.Content + x.Delta.Refusal, thought: x.Delta.Reasoning, end: x.FinishReason})
			ended = ended || x.FinishReason != ""
		}
	}
	if !ended {
		return errCut
	}
	return nil
}

// whole reads the answer of a server that does not stream.
func whole(body io.Reader, tell func(part)) error {
	var c completion
	if err := json.NewDecoder(io.LimitReader(body, maxEvent)).Decode(&c); err != nil {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	if c.Error != nil {
		return c.Error.refusal(0)
	}
	for _, x := range c.Choices {
		tell(part{text: x.Message.Content + x.Message.Refusal, thought: x.Message.Reasoning, end: x.FinishReason})
	}
	return nil
}

// refused reads an error of the OpenAI API, of /chat, or of something between here and there.
func refused(resp *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if err != nil {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	var told struct {
		Error  *refusalBody `json:"error"`
		Detail string       `json:"detail"`
	}
	r := &refusal{status: resp.StatusCode, message: strings.TrimSpace(string(raw))}
	if err := json.Unmarshal(raw, &told); err == nil {
		switch {
		case told.Error != nil:
			r = told.Error.refusal(resp.StatusCode)
		case told.Detail != "":
			r.message = told.Detail
		}
	}
	if r.message == "" {
		r.message = http.StatusText(resp.StatusCode)
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n >= 0 {
		r.retryAfter = time.Duration(min(n, 3600)) * time.Second
	}
	return r
}

// refusal takes the code as text; some engines write a number.
func (b *refusalBody) refusal(status int) *refusal {
	return &refusal{status: status, code: strings.Trim(string(b.Code), `"`), message: b.Message}
}
