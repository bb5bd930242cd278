// Package chat is the legacy POST /chat of the reference: a prompt or messages in,
// {"Result": "..."} out, answered by the engine's own chat template.
package chat

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"kaito.sh/kaito/internal/runner/engine"
	"kaito.sh/kaito/internal/runner/intake"
	"kaito.sh/kaito/internal/runner/refusal"
)

// Model answers; engine.Client is one.
type Model interface {
	// CountTokens says how many tokens the messages are after the chat template.
	CountTokens(ctx context.Context, messages json.RawMessage) (int, error)
	// Chat gives one whole answer to a body of the OpenAI API without model.
	Chat(ctx context.Context, request map[string]any) (string, error)
}

// Handler answers POST /chat.
type Handler struct {
	// Model answers.
	Model Model
	// Engine is the engine's name, which decides what its settings are called.
	Engine string
	// Context is the number of tokens that prompt and answer share.
	Context int
	// Body reads requests.
	Body *intake.Reader
	// Log tells what went wrong at the engine.
	Log *slog.Logger
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		refusal.Detail(w, refusal.Method(http.MethodPost))
		return
	}
	body, no := h.Body.JSON(w, r)
	if no != nil {
		refusal.Detail(w, no)
		return
	}
	q, no := parse(body.Bytes(), h.Engine)
	body.Done() // parse has copied what it needs
	if no != nil {
		refusal.Detail(w, no)
		return
	}
	answer, err := h.answer(r.Context(), q)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if q.prompt != "" && q.full {
		answer = join(q.prompt, answer)
	}
	if len(q.settings.ignored) > 0 {
		w.Header().Set("Warning", warning(q.settings.ignored))
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(map[string]string{"Result": answer}) // the client may have gone
}

// answer asks the engine for at least one new token.
func (h *Handler) answer(ctx context.Context, q request) (string, error) {
	ask := q.settings.request
	ask["messages"] = q.messages
	limit := q.settings.maxNew
	if limit == 0 {
		used, err := h.Model.CountTokens(ctx, q.messages)
		if err != nil {
			return "", err
		}
		limit = max(1, min(q.settings.maxLen, h.Context)-used)
	}
	ask["max_tokens"] = limit
	return h.Model.Chat(ctx, ask)
}

// fail passes on what the engine said about the request; anything else is a 502.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the client has gone
	}
	var said *engine.StatusError
	if errors.As(err, &said) && said.Status >= 400 && said.Status < 500 {
		refusal.Detail(w, refusal.FromEngine(said.Status, said.Message))
		return
	}
	h.Log.Error("engine did not answer", "path", r.URL.Path, "err", err)
	refusal.Detail(w, refusal.BadGateway())
}

// join puts the answer behind the prompt, on a line of its own unless one of them brings the space.
func join(prompt, answer string) string {
	last, _ := utf8.DecodeLastRuneInString(prompt)
	first, _ := utf8.DecodeRuneInString(answer)
	if unicode.IsSpace(last) || unicode.IsSpace(first) {
		return prompt + answer
	}
	return prompt + "\n" + answer
}

// warning is the value of the Warning header; names that a client made up are kept harmless.
func warning(ignored []string) string {
	clean := func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}
	const most = 500 // bytes; a header is no place for a list without end
	names := strings.Map(clean, strings.Join(ignored, ", "))
	if len(names) > most {
		names = names[:most] + "..."
	}
	return `299 kaito-runner "ignored generate_kwargs: ` + names + `"`
}
