package proxy_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"kaito.sh/kaito/internal/runner/engine"
	"kaito.sh/kaito/internal/runner/intake"
	"kaito.sh/kaito/internal/runner/proxy"
)

// beside are the names of a model with two adapters, of which the second is the default.
func beside(name string) proxy.Names {
	return proxy.Names{
		ID: "tiny", Aliases: []string{"Maker/Tiny"}, Engine: engine.Base(name, "tiny", 2),
		Adapters: []proxy.Adapter{
			{Name: "half", Target: engine.Adapter(name, "half", 0, 0.5)},
			{Name: "mine", Target: engine.Adapter(name, "mine", 1, 1), Default: true},
		},
	}
}

// through sends a body through a proxy with these names and returns what the engine got.
func through(t *testing.T, names proxy.Names, path, sent string) (code int, answer, got string) {
	t.Helper()
	behind := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got = string(data)
	}))
	t.Cleanup(behind.Close)
	base, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(proxy.New(base, names, intake.New(1000, time.Now), engine.Transport(8), slog.New(slog.DiscardHandler)))
	t.Cleanup(front.Close)
	code, answer = send(t, http.MethodPost, front.URL+path, "application/json", sent)
	return code, answer, got
}

func TestANameChoosesTheAdapterAsTheEngineWantsItSaid(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ engine, path, sent, got string }{
		"llama.cpp, an adapter":            {"llamacpp", "chat/completions", `{"model":"mine","x":1}`, `{"lora":[{"id":1,"scale":1}],"model":"mine","x":1}`},
		"llama.cpp, one of less strength":  {"llamacpp", "completions", `{"x":1,"model":"half"}`, `{"lora":[{"id":0,"scale":0.5}],"x":1,"model":"half"}`},
		"llama.cpp, the model":             {"llamacpp", "chat/completions", `{"model":"tiny"}`, `{"lora":[{"id":0,"scale":0}],"model":"tiny"}`},
		"llama.cpp, an alias of the model": {"llamacpp", "responses", `{"model":"Maker/Tiny"}`, `{"lora":[{"id":0,"scale":0}],"model":"tiny"}`},
		"llama.cpp, no name":               {"llamacpp", "chat/completions", `{"x":1}`, `{"lora":[{"id":1,"scale":1}],"model":"mine","x":1}`},
		"llama.cpp, no member":             {"llamacpp", "chat/completions", `{}`, `{"lora":[{"id":1,"scale":1}],"model":"mine"}`},
		"llama.cpp, a null":                {"llamacpp", "chat/completions", `{"model":null}`, `{"lora":[{"id":1,"scale":1}],"model":"mine"}`},
		"llama.cpp, embeddings of the model": {
			"llamacpp", "embeddings", `{"model":"Maker/Tiny"}`, `{"model":"tiny"}`,
		},
		"llama.cpp, tokens are counted for all": {"llamacpp", "messages/count_tokens", `{"model":"mine"}`, `{"model":"mine"}`},
		"vLLM, an adapter":                      {"vllm", "chat/completions", `{ "model" : "half" }`, `{ "model" : "half" }`},
		"vLLM, the model":                       {"vllm", "messages", `{"model":"Maker/Tiny"}`, `{"model":"tiny"}`},
		"vLLM, no name":                         {"vllm", "embeddings", `{"x":1}`, `{"model":"mine","x":1}`},
		"vLLM, a field that is not its own":     {"vllm", "chat/completions", `{"model":"tiny"}`, `{"model":"tiny"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, answer, got := through(t, beside(tc.engine), "/v1/"+tc.path, tc.sent)
			if code != 200 || got != tc.got {
				t.Errorf("%d %s; the engine got %s, want %s", code, answer, got, tc.got)
			}
		})
	}
}

func TestWhatAdaptersDoNotAnswerIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path, sent string
		code       int
		want       string
	}{
		"an unknown name":                     {"chat/completions", `{"model":"other"}`, 404, "served: tiny, Maker/Tiny, half, mine"},
		"a choice of the client's own":        {"chat/completions", `{"model":"tiny","lora":[{"id":1,"scale":9}]}`, 400, "lora is set here: name an adapter as model; served: tiny, Maker/Tiny, half, mine"},
		"a choice in disguise":                {"chat/completions", `{"l\u006fra":[]}`, 400, "lora is set here"},
		"messages of Anthropic's form":        {"messages", `{"model":"mine"}`, 400, "/v1/messages is not served beside adapters: use /v1/chat/completions"},
		"messages for the model itself":       {"messages", `{"model":"tiny"}`, 400, "/v1/messages is not served beside adapters"},
		"embeddings of an adapter":            {"embeddings", `{"model":"half"}`, 400, "Adapters do not answer at /v1/embeddings: name the model tiny"},
		"embeddings where an adapter answers": {"embeddings", `{}`, 400, "name the model tiny"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, answer, got := through(t, beside("llamacpp"), "/v1/"+tc.path, tc.sent)
			if code != tc.code || !strings.Contains(answer, tc.want) || got != "" {
				t.Errorf("%d %s, the engine got %q; want %d and %q", code, answer, got, tc.code, tc.want)
			}
		})
	}
}

func TestAdaptersAreListedBesideTheirModel(t *testing.T) {
	t.Parallel()
	m := &proxy.Models{Names: beside("vllm"), Context: 10, Created: 12}
	const (
		base = `{"id":"tiny","object":"model","created":12,"owned_by":"kaito","root":"tiny","parent":null,"max_model_len":10}`
		half = `{"id":"half","object":"model","created":12,"owned_by":"kaito","root":"half","parent":"tiny","max_model_len":10}`
		mine = `{"id":"mine","object":"model","created":12,"owned_by":"kaito","root":"mine","parent":"tiny","max_model_len":10}`
	)
	for path, want := range map[string]string{
		"/v1/models":            `{"object":"list","data":[` + base + `,` + half + `,` + mine + `]}`,
		"/v1/models/mine":       mine,
		"/v1/models/Maker/Tiny": base,
	} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != 200 || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
