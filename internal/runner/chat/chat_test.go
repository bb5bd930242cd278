package chat_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/chat"
	"kaito.sh/kaito/internal/runner/engine"
	"kaito.sh/kaito/internal/runner/intake"
	"kaito.sh/kaito/internal/runner/standin"
)

// handler is a chat handler before a stand-in engine.
func handler(t *testing.T, stand http.Handler, name string) *chat.Handler {
	t.Helper()
	server := httptest.NewServer(stand)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &chat.Handler{
		Model: engine.New(name, engine.Target{Model: "tiny"}, base, engine.Transport(8)), Engine: name, Context: 100,
		Body: intake.New(2000, time.Now), Log: slog.New(slog.DiscardHandler),
	}
}

func post(h http.Handler, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/chat", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func user(text string) []any { return []any{map[string]any{"role": "user", "content": text}} }

func TestChatAnswers(t *testing.T) {
	t.Parallel()
	// The stand-in's template makes 6 tokens around the prompt's words.
	for name, tc := range map[string]struct {
		body    string
		asked   map[string]any
		result  string
		warning string
	}{
		"a prompt comes back before the answer, and max_length counts the prompt": {
			body:   `{"prompt": "who are you"}`,
			asked:  map[string]any{"messages": user("who are you"), "max_tokens": 100.0 - 8},
			result: `{"Result":"who are you\nword0 word1 word2"}`,
		},
		"a prompt that ends in space gets no second": {
			body: `{"prompt": "who ", "generate_kwargs": {"max_new_tokens": 7, "max_length": 9}}`, asked: map[string]any{"messages": user("who "), "max_tokens": 7.0},
			result: `{"Result":"who word0 word1 word2"}`,
		},
		"only the answer on request": {
			body: `{"prompt": "a <b>", "return_full_text": false, "generate_kwargs": {"max_length": 50}}`, asked: map[string]any{"messages": user("a <b>"), "max_tokens": 50.0 - 7},
			result: `{"Result":"word0 word1 word2"}`,
		},
		"a long prompt leaves one new token": {
			body: `{"prompt": "a b c d e f g h", "generate_kwargs": {"max_length": 3}}`, asked: map[string]any{"messages": user("a b c d e f g h"), "max_tokens": 1.0},
			result: `{"Result":"a b c d e f g h\nword0 word1 word2"}`,
		},
		"messages are passed as they are": {
			body: `{"messages": [{"role": "user", "content": "x"}], "prompt": null, "generate_kwargs": {"max_new_tokens": 5.0}}`, asked: map[string]any{"messages": user("x"), "max_tokens": 5.0},
			result: `{"Result":"word0 word1 word2"}`,
		},
		"known settings get the engine's names": {
			body:   `{"prompt": "x", "generate_kwargs": {"max_new_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 10, "repetition_penalty": 1.1, "seed": 7, "stop": "END", "typical_p": 0.8, "min_p": 0.1}}`,
			asked:  map[string]any{"messages": user("x"), "max_tokens": 5.0, "temperature": 0.5, "top_p": 0.9, "top_k": 10.0, "repeat_penalty": 1.1, "seed": 7.0, "stop": []any{"END"}, "typical_p": 0.8, "min_p": 0.1},
			result: `{"Result":"x\nword0 word1 word2"}`,
		},
		"without sampling the temperature is 0": {
			body:   `{"prompt": "x", "generate_kwargs": {"max_new_tokens": 5, "do_sample": false, "temperature": 0.5, "top_p": 0.9, "top_k": 10}}`,
			asked:  map[string]any{"messages": user("x"), "max_tokens": 5.0, "temperature": 0.0},
			result: `{"Result":"x\nword0 word1 word2"}`,
		},
		"the reference's defaults need no warning, unknown settings do": {
			body:   `{"prompt": "x", "clean_up_tokenization_spaces": false, "prefix": null, "generate_kwargs": {"max_new_tokens": 5, "num_beams": 1, "early_stopping": false, "num_return_sequences": 2, "pad_token_id": 0, "b\"\n": 1}}`,
			asked:  map[string]any{"messages": user("x"), "max_tokens": 5.0},
			result: `{"Result":"x\nword0 word1 word2"}`, warning: `299 kaito-runner "ignored generate_kwargs: b??, num_return_sequences, pad_token_id"`,
		},
		"settings beside the prompt, as in the first release, yield to generate_kwargs": {
			body:   `{"prompt": "x", "max_new_tokens": 9, "temperature": 0.3, "generate_kwargs": {"max_new_tokens": 5}}`,
			asked:  map[string]any{"messages": user("x"), "max_tokens": 5.0, "temperature": 0.3},
			result: `{"Result":"x\nword0 word1 word2"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stand := &standin.Engine{}
			w := post(handler(t, stand, engine.LlamaCpp), tc.body)
			if w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != tc.result {
				t.Errorf("got %d %s, want %s", w.Code, w.Body, tc.result)
			}
			if got := w.Header().Get("Warning"); got != tc.warning {
				t.Errorf("warning %q, want %q", got, tc.warning)
			}
			tc.asked["model"], tc.asked["stream"] = "tiny", true
			if diff := cmp.Diff([]map[string]any{tc.asked}, stand.Asked()); diff != "" {
				t.Errorf("what the engine was asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChatRefuses(t *testing.T) {
	t.Parallel()
	h := handler(t, &standin.Engine{}, engine.LlamaCpp)
	for name, tc := range map[string]struct {
		body   string
		header []string
		code   int
		want   string
	}{
		"no prompt":              {`{}`, nil, 400, `{"detail":"Text generation parameter prompt required"}`},
		"an empty prompt":        {`{"prompt": ""}`, nil, 400, `{"detail":"Text generation parameter prompt required"}`},
		"no messages":            {`{"messages": []}`, nil, 400, `{"detail":"Conversational parameter messages required"}`},
		"both":                   {`{"prompt": "x", "messages": [{"role":"user","content":"x"}]}`, nil, 400, `{"detail":"Send either prompt or messages, not both"}`},
		"a number for a prompt":  {`{"prompt": 1}`, nil, 400, `{"detail":"prompt must be a string"}`},
		"a turn without role":    {`{"messages": [{"content": "x"}]}`, nil, 400, `{"detail":"messages[0] must have a role and a content"}`},
		"a number for content":   {`{"messages": [{"role": "user", "content": 1}]}`, nil, 400, `{"detail":"messages[0].content must be a string or a list of parts"}`},
		"words for messages":     {`{"messages": "x"}`, nil, 400, `{"detail":"messages must be a list of objects with role and content"}`},
		"words for a truth":      {`{"prompt": "x", "return_full_text": "yes"}`, nil, 400, `{"detail":"return_full_text must be true or false"}`},
		"a list of settings":     {`{"prompt": "x", "generate_kwargs": []}`, nil, 400, `{"detail":"generate_kwargs must be an object"}`},
		"half a token":           {`{"prompt": "x", "generate_kwargs": {"max_new_tokens": 0.5}}`, nil, 400, `{"detail":"generate_kwargs.max_new_tokens must be a whole number of at least 1"}`},
		"no token at all":        {`{"prompt": "x", "generate_kwargs": {"max_length": 0}}`, nil, 400, `{"detail":"generate_kwargs.max_length must be a whole number of at least 1"}`},
		"a warm temperature":     {`{"prompt": "x", "generate_kwargs": {"temperature": "warm"}}`, nil, 400, `{"detail":"generate_kwargs.temperature must be a number"}`},
		"broken JSON":            {`{"prompt`, nil, 400, `{"detail":"The request body is not valid JSON: unexpected end of JSON input (at byte 8)"}`},
		"another kind of JSON":   {`["x"]`, nil, 400, `{"detail":"The request body must be a JSON object with a prompt"}`},
		"a form":                 {`prompt=x`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, `{"detail":"Unsupported Media Type \"application/x-www-form-urlencoded\"; send JSON with the header Content-Type: application/json"}`},
		"a packed body":          {`x`, []string{"Content-Encoding", "gzip"}, 415, `{"detail":"Unsupported Media Type \"Content-Encoding: gzip\"; send JSON with the header Content-Type: application/json"}`},
		"a body without bounds":  {`{"prompt": "` + strings.Repeat("x", 2000) + `"}`, nil, 413, `{"detail":"The request body is larger than the 2000 bytes allowed here"}`},
		"a type with parameters": {`{}`, []string{"Content-Type", "application/json; charset=utf-8"}, 400, `{"detail":"Text generation parameter prompt required"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := post(h, tc.body, tc.header...)
			if w.Code != tc.code {
				t.Errorf("status %d, want %d", w.Code, tc.code)
			}
			if diff := cmp.Diff(tc.want, strings.TrimSpace(w.Body.String())); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChatTellsWhatTheEngineSaid(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		engine http.HandlerFunc
		code   int
		want   string
	}{
		"a prompt that is too long": {
			func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, `{"error":{"code":400,"message":"the request exceeds the context","type":"exceed_context_size_error"}}`, 400)
			}, 400, `{"detail":"the request exceeds the context"}`,
		},
		"a fault of the engine's own": {
			func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{}`, 500) },
			502, `{"detail":"The engine did not answer; the pod's log says why"}`,
		},
		"a fault in the middle of the answer": {
			func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`data: {"choices":[{"delta":{"content":"Par"}}]}` + "\n\n" + `error: {"error":{"code":500,"message":"slot lost"}}` + "\n\n"))
			}, 502, `{"detail":"The engine did not answer; the pod's log says why"}`,
		},
		"an answer that is cut": {
			func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`data: {"choices":[{"delta":{"content":"Par"}}]}` + "\n\n"))
			}, 502, `{"detail":"The engine did not answer; the pod's log says why"}`,
		},
		"an answer that is no JSON": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
			502, `{"detail":"The engine did not answer; the pod's log says why"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := post(handler(t, tc.engine, engine.VLLM), `{"prompt": "x"}`)
			if w.Code != tc.code || strings.TrimSpace(w.Body.String()) != tc.want {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, tc.code, tc.want)
			}
		})
	}
}

func TestChatTakesOnlyPost(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	handler(t, &standin.Engine{}, engine.LlamaCpp).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/chat", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("got %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestChatAsksForTheDefaultAdapter(t *testing.T) {
	t.Parallel()
	stand := &standin.Engine{}
	h := handler(t, stand, "llamacpp")
	server := httptest.NewServer(stand)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	h.Model = engine.New("llamacpp", engine.Adapter("llamacpp", "mine", 1, 0.5), base, engine.Transport(8))
	if w := post(h, `{"prompt": "hello", "generate_kwargs": {"max_new_tokens": 2}}`); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	asked := stand.Asked()[0]
	want := []any{map[string]any{"id": 1.0, "scale": 0.5}}
	if diff := cmp.Diff(want, asked["lora"]); diff != "" || asked["model"] != "mine" {
		t.Errorf("model %v, lora (-want +got):\n%s", asked["model"], diff)
	}
}
