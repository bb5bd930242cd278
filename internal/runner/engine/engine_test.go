package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/engine"
)

// client is a client of an engine that gives one answer to everything and notes what it was asked.
func client(t *testing.T, name string, code int, answer string) (c *engine.Client, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*asked = append(*asked, r.Method+" "+r.URL.Path+" "+string(body))
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return engine.New(name, engine.Target{Model: "tiny"}, base, engine.Transport(8)), asked
}

const turn = `[{"role":"user","content":"hello"}]`

func TestCountTokens(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		engine, answer string
		want           int
		asked          []string
	}{
		"llama.cpp applies the template, then counts": {
			engine.LlamaCpp, `{"prompt":"hello!","tokens":[1,2,3]}`, 3,
			[]string{
				`POST /apply-template {"messages":` + turn + `}`,
				`POST /tokenize {"add_special":false,"content":"hello!","parse_special":true}`,
			},
		},
		"vLLM counts messages itself": {
			engine.VLLM, `{"count":12,"max_model_len":100,"tokens":[]}`, 12,
			[]string{`POST /tokenize {"messages":` + turn + `,"model":"tiny"}`},
		},
		"of another engine it is an estimate": {"transformers", ``, 9, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, asked := client(t, tc.engine, 200, tc.answer)
			got, err := c.CountTokens(t.Context(), json.RawMessage(turn))
			if err != nil || got != tc.want {
				t.Errorf("%d, %v; want %d", got, err, tc.want)
			}
			if diff := cmp.Diff(tc.asked, *asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChat(t *testing.T) {
	t.Parallel()
	const piece = `data: {"choices":[{"index":0,"delta":{"content":%q}}]}` + "\n\n"
	pieces := func(text ...string) (out string) {
		for _, t := range text {
			out += fmt.Sprintf(piece, t)
		}
		return out
	}
	const done = "data: [DONE]\n\n"
	for name, tc := range map[string]struct {
		code         int
		answer, want string
		wantErr      *engine.StatusError
	}{
		"an answer in pieces":              {200, `data: {"choices":[{"delta":{"role":"assistant","content":null}}]}` + "\n\n" + pieces("Par", "is", ".") + done, "Paris.", nil},
		"an answer with a pulse":           {200, ": ping\n\n" + pieces("Paris.") + ":\n\n" + done, "Paris.", nil},
		"an answer and its usage":          {200, pieces("Paris.") + `data: {"choices":[],"usage":{"completion_tokens":3}}` + "\n\n" + done, "Paris.", nil},
		"another alphabet":                 {200, pieces("ปา", "รีส") + done, "ปารีส", nil},
		"an answer without text":           {200, `data: {"choices":[{"delta":{},"finish_reason":"length"}]}` + "\n\n" + done, "", nil},
		"llama.cpp's and OpenAI's refusal": {400, `{"error":{"code":400,"message":"too long"}}`, "", &engine.StatusError{Status: 400, Message: "too long"}},
		"an old vLLM's refusal":            {404, `{"object":"error","message":"no such model"}`, "", &engine.StatusError{Status: 404, Message: "no such model"}},
		"a refusal in plain words":         {500, `oops`, "", &engine.StatusError{Status: 500, Message: "oops"}},
		"llama.cpp's fault in the middle":  {200, pieces("Par") + `error: {"error":{"code":500,"message":"lost"}}` + "\n\n", "", &engine.StatusError{Status: 500, Message: "lost"}},
		"vLLM's fault in the middle":       {200, pieces("Par") + `data: {"error":{"code":400,"message":"bad"}}` + "\n\n" + done, "", &engine.StatusError{Status: 400, Message: "bad"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, asked := client(t, engine.VLLM, tc.code, tc.answer)
			got, err := c.Chat(t.Context(), map[string]any{"messages": json.RawMessage(turn), "max_tokens": 3})
			if got != tc.want || (err != nil) != (tc.wantErr != nil) {
				t.Errorf("%q, %v", got, err)
			}
			var status *engine.StatusError
			if errors.As(err, &status) {
				if diff := cmp.Diff(tc.wantErr, status); diff != "" {
					t.Errorf("refusal (-want +got):\n%s", diff)
				}
			}
			want := []string{`POST /v1/chat/completions {"max_tokens":3,"messages":` + turn + `,"model":"tiny","stream":true}`}
			if diff := cmp.Diff(want, *asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChatThatIsCutIsNoAnswer(t *testing.T) {
	t.Parallel()
	c, _ := client(t, engine.LlamaCpp, 200, `data: {"choices":[{"delta":{"content":"Par"}}]}`+"\n\n")
	if got, err := c.Chat(t.Context(), map[string]any{}); !errors.Is(err, engine.ErrCut) || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestMetricsOfAnEngineWithoutThem(t *testing.T) {
	t.Parallel()
	c, _ := client(t, engine.LlamaCpp, 501, "")
	if _, err := c.Metrics(t.Context()); err == nil {
		t.Error("501 was taken for metrics")
	}
}
