// Package standin is an engine for tests: it speaks llama-server's shapes, as they were
// recorded from llama-server 0.7.0, and has no model. Only tests may import it.
package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Engine is a stand-in for llama-server. Set its fields before it is asked.
type Engine struct {
	// Words is how many words an answer has; 0 is three.
	Words int
	// Pause is the time before each word.
	Pause time.Duration
	// LoadFor is how many times /health answers 503 at first.
	LoadFor int

	mu     sync.Mutex
	bodies []map[string]any
	gone   int
}

// Asked is the bodies of all chat requests so far.
func (e *Engine) Asked() []map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]map[string]any(nil), e.bodies...)
}

// Gone is how many clients left before their answer was whole.
func (e *Engine) Gone() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gone
}

// ServeHTTP answers as llama-server does.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/health":
		e.health(w)
	case "/apply-template":
		var body struct {
			Messages []struct{ Role, Content string } `json:"messages"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		var text strings.Builder
		for _, m := range body.Messages {
			fmt.Fprintf(&text, "<|im_start|> %s %s <|im_end|> ", m.Role, m.Content)
		}
		reply(w, http.StatusOK, map[string]any{"prompt": text.String() + "<|im_start|> assistant"})
	case "/tokenize":
		var body struct{ Content string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		reply(w, http.StatusOK, map[string]any{"tokens": make([]int, len(strings.Fields(body.Content)))})
	case "/v1/chat/completions":
		e.chat(w, r)
	case "/metrics":
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = fmt.Fprint(w, "# HELP llamacpp:requests_processing Number of requests processing.\n# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing 1\n")
	case "/slots", "/props", "/lora-adapters":
		reply(w, http.StatusOK, []string{"secret"})
	default:
		fault(w, http.StatusNotFound, "not_found_error", "File Not Found")
	}
}

func (e *Engine) health(w http.ResponseWriter) {
	e.mu.Lock()
	e.LoadFor--
	loading := e.LoadFor >= 0
	e.mu.Unlock()
	if loading {
		fault(w, http.StatusServiceUnavailable, "unavailable_error", "Loading model")
		return
	}
	reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

// chat answers any model name with 200, which is one of llama-server's traps.
func (e *Engine) chat(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		fault(w, http.StatusBadRequest, "invalid_request_error", "parse error")
		return
	}
	e.mu.Lock()
	e.bodies = append(e.bodies, body)
	e.mu.Unlock()
	if _, ok := body["messages"].([]any); !ok {
		fault(w, http.StatusBadRequest, "invalid_request_error", "Expected 'messages' to be an array")
		return
	}
	words := e.Words
	if words == 0 {
		words = 3
	}
	stream, _ := body["stream"].(bool)
	var answer strings.Builder
	for i := range words {
		if !e.wait(r) {
			return
		}
		word := fmt.Sprintf("word%d", i)
		if i < words-1 {
			word += " "
		}
		answer.WriteString(word)
		if stream {
			chunk, _ := json.Marshal(map[string]any{
				"object": "chat.completion.chunk", "model": body["model"],
				"choices": []any{map[string]any{"index": 0, "finish_reason": nil, "delta": map[string]string{"content": word}}},
			})
			_, _ = fmt.Fprintf(w, "data: %s\n\n", chunk)
			w.(http.Flusher).Flush()
		}
	}
	if stream {
		_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
		return
	}
	reply(w, http.StatusOK, map[string]any{
		"object": "chat.completion", "model": body["model"],
		"choices": []any{map[string]any{
			"index": 0, "finish_reason": "stop",
			"message": map[string]string{"role": "assistant", "content": answer.String()},
		}},
	})
}

// wait pauses before a word, and says whether the client is still there.
func (e *Engine) wait(r *http.Request) bool {
	pause := time.NewTimer(e.Pause)
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-r.Context().Done():
		e.mu.Lock()
		e.gone++
		e.mu.Unlock()
		return false
	}
}

func fault(w http.ResponseWriter, code int, kind, message string) {
	reply(w, code, map[string]any{"error": map[string]any{"code": code, "type": kind, "message": message}})
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
