package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"kaito.sh/kaito/internal/engine/flags"
)

// server answers in the shapes of vLLM's OpenAI server.
type server struct {
	options
	mux            *http.ServeMux
	running        atomic.Int64
	answered       atomic.Int64
	prompt, answer atomic.Int64
}

func newServer(o options) http.Handler {
	e := &server{options: o, mux: http.NewServeMux()}
	e.mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	e.mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"version": flags.VLLM().Version})
	})
	e.mux.HandleFunc("GET /v1/models", e.models)
	e.mux.HandleFunc("POST /v1/chat/completions", e.chat)
	e.mux.HandleFunc("POST /tokenize", e.tokenize)
	e.mux.HandleFunc("GET /metrics", e.metrics)
	return e.mux
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type request struct {
	Model     string    `json:"model"`
	Messages  []message `json:"messages"`
	Prompt    string    `json:"prompt"`
	Stream    bool      `json:"stream"`
	MaxTokens int       `json:"max_tokens"`
}

// read takes a request as vLLM does: an unknown model is 404, no body is 400.
func (e *server) read(w http.ResponseWriter, r *http.Request) (request, bool) {
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		fault(w, http.StatusBadRequest, "BadRequestError", "invalid JSON: "+err.Error())
		return q, false
	}
	if q.Model != "" && q.Model != e.served {
		fault(w, http.StatusNotFound, "NotFoundError", fmt.Sprintf("The model `%s` does not exist.", q.Model))
		return q, false
	}
	return q, true
}

func (e *server) chat(w http.ResponseWriter, r *http.Request) {
	e.running.Add(1)
	defer e.running.Add(-1)
	q, ok := e.read(w, r)
	if !ok {
		return
	}
	if len(q.Messages) == 0 {
		fault(w, http.StatusBadRequest, "BadRequestError", "messages: Field required")
		return
	}
	used := words(q)
	if used+q.MaxTokens > e.context {
		fault(w, http.StatusBadRequest, "BadRequestError", fmt.Sprintf("This model's maximum context length is %d tokens. However, you requested %d output tokens and your prompt contains %d input tokens.", e.context, q.MaxTokens, used))
		return
	}
	text := strings.Fields("This is a stand-in for vLLM: no model has read your question, which was: " + q.Messages[len(q.Messages)-1].Content)
	finish := "stop"
	if q.MaxTokens > 0 && len(text) > q.MaxTokens {
		text, finish = text[:q.MaxTokens], "length"
	}
	e.answered.Add(1)
	e.prompt.Add(int64(used))
	e.answer.Add(int64(len(text)))
	a := answered{id: fmt.Sprintf("chatcmpl-%d", e.answered.Load()), model: e.served, text: text, finish: finish, used: used}
	if q.Stream {
		a.stream(w)
		return
	}
	a.whole(w)
}

func words(q request) int {
	n := len(strings.Fields(q.Prompt))
	for _, m := range q.Messages {
		n += len(strings.Fields(m.Content))
	}
	return n
}

// answered is one answer.
type answered struct {
	id, model string
	text      []string
	finish    string
	used      int
}

func (a answered) whole(w http.ResponseWriter) {
	reply(w, map[string]any{
		"id": a.id, "object": "chat.completion", "created": 0, "model": a.model,
		"choices": []any{map[string]any{
			"index": 0, "finish_reason": a.finish, "logprobs": nil, "stop_reason": nil,
			"message": map[string]any{"role": "assistant", "content": strings.Join(a.text, " "), "refusal": nil, "tool_calls": []any{}},
		}},
		"usage": map[string]any{"prompt_tokens": a.used, "completion_tokens": len(a.text), "total_tokens": a.used + len(a.text)},
	})
}

func (a answered) stream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	send := func(delta map[string]string, finish any) {
		data, err := json.Marshal(map[string]any{
			"id": a.id, "object": "chat.completion.chunk", "created": 0, "model": a.model,
			"choices": []any{map[string]any{"index": 0, "delta": delta, "logprobs": nil, "finish_reason": finish}},
		})
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(w, "data: %s\n\n", data)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	send(map[string]string{"role": "assistant", "content": ""}, nil)
	for i, word := range a.text {
		if i > 0 {
			word = " " + word
		}
		send(map[string]string{"content": word}, nil)
	}
	send(map[string]string{"content": ""}, a.finish)
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

func (e *server) tokenize(w http.ResponseWriter, r *http.Request) {
	q, ok := e.read(w, r)
	if !ok {
		return
	}
	reply(w, map[string]any{"count": words(q), "max_model_len": e.context, "tokens": make([]int, words(q)), "token_strs": nil})
}

func (e *server) models(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"object": "list", "data": []any{map[string]any{
		"id": e.served, "object": "model", "created": 0, "owned_by": "vllm", "root": e.folder, "parent": nil,
		"max_model_len": e.context, "permission": []any{},
	}}})
}

// metrics are the families that the runner and dashboards read, with vLLM's labels.
func (e *server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	for _, m := range []struct {
		name, kind string
		value      int64
	}{
		{"vllm:num_requests_running", "gauge", e.running.Load()},
		{"vllm:num_requests_waiting", "gauge", 0},
		{"vllm:kv_cache_usage_perc", "gauge", 0},
		{"vllm:prompt_tokens_total", "counter", e.prompt.Load()},
		{"vllm:generation_tokens_total", "counter", e.answer.Load()},
	} {
		_, _ = fmt.Fprintf(w, "# HELP %s of the stand-in.\n# TYPE %s %s\n%s{engine=\"0\",model_name=%q} %d\n", m.name, m.name, m.kind, m.name, e.served, m.value)
	}
	_, _ = fmt.Fprintf(w, "# HELP vllm:request_success_total of the stand-in.\n# TYPE vllm:request_success_total counter\n"+
		"vllm:request_success_total{engine=\"0\",finished_reason=\"stop\",model_name=%q} %d\n", e.served, e.answered.Load())
}

func fault(w http.ResponseWriter, code int, kind, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": text, "type": kind, "param": nil, "code": code}})
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}
