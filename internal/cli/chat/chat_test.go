package chat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/shell"
)

// model answers as an OpenAI server does: each request takes the next of its
// answers, the last one again and again.
type model struct {
	*httptest.Server
	mu       sync.Mutex
	answers  []http.HandlerFunc
	requests []string
}

func serve(t *testing.T, answers ...http.HandlerFunc) *model {
	t.Helper()
	m := &model{answers: answers}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/chat/completions" || r.Method != http.MethodPost {
		http.Error(w, "no such path", http.StatusNotFound)
		return
	}
	m.mu.Lock()
	m.requests = append(m.requests, string(raw))
	next := m.answers[0]
	if len(m.answers) > 1 {
		m.answers = m.answers[1:]
	}
	m.mu.Unlock()
	next(w, r)
}

func (m *model) asked(i int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests[i]
}

// event is one part of a stream.
func event(delta map[string]any, finish any) string {
	raw, err := json.Marshal(map[string]any{
		"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "tiny",
		"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}},
	})
	if err != nil {
		panic(err)
	}
	return "data: " + string(raw) + "\n\n"
}

// says streams the words, as llama-server does: the role first, then a part a word,
// then the reason of the end, then [DONE].
func says(words ...string) http.HandlerFunc { return ends("stop", words...) }

func ends(finish string, words ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		begin(w, words...)
		_, _ = io.WriteString(w, event(map[string]any{}, finish)+"data: [DONE]\n\n")
	}
}

func begin(w http.ResponseWriter, words ...string) {
	_, _ = io.WriteString(w, event(map[string]any{"role": "assistant", "content": nil}, nil))
	for _, word := range words {
		_, _ = io.WriteString(w, event(map[string]any{"content": word}, nil))
	}
	w.(http.Flusher).Flush()
}

// cut begins to answer and breaks the connection.
func cut(words ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		begin(w, words...)
		panic(http.ErrAbortHandler)
	}
}

func refuses(status int, retryAfter, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// person is a shell whose clock goes on only while somebody sleeps.
type person struct {
	shell.Shell
	out, err bytes.Buffer
	slept    []time.Duration
	now      time.Time
	stop     func()
}

func newPerson() *person {
	p := &person{now: time.Unix(0, 0)}
	p.Shell = shell.Shell{
		Name: "kaito", Out: &p.out, Err: &p.err, In: strings.NewReader(""),
		Now: func() time.Time { return p.now },
		Sleep: func(ctx context.Context, d time.Duration) error {
			p.slept = append(p.slept, d)
			p.now = p.now.Add(d)
			return ctx.Err()
		},
		OnInterrupt: func(stop func()) func() {
			p.stop = stop
			return func() { p.stop = nil }
		},
	}
	return p
}

func (p *person) talk(m *model) *talk {
	t := &talk{sh: p.Shell, site: direct(m.URL, http.DefaultTransport), out: &p.out, thoughts: io.Discard}
	t.reset()
	return t
}

func TestAnAnswerIsStreamedAndRemembered(t *testing.T) {
	t.Parallel()
	p, m := newPerson(), serve(t, says("The capital ", "of France ", "is Paris."), says("2 million"))
	k := p.talk(m)
	k.system = "Be short"
	k.reset()
	zero, limit := 0.0, 20
	k.ask = request{Temperature: &zero, MaxTokens: &limit}
	for _, q := range []string{"Capital of France?", "How many live there?"} {
		if err := k.answer(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff("The capital of France is Paris.\n2 million\n", p.out.String()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	want := `{"messages":[{"role":"system","content":"Be short"},{"role":"user","content":"Capital of France?"},` +
		`{"role":"assistant","content":"The capital of France is Paris."},{"role":"user","content":"How many live there?"}],` +
		`"stream":true,"temperature":0,"max_tokens":20}`
	if diff := cmp.Diff(want, m.asked(1)); diff != "" {
		t.Errorf("second request (-want +got):\n%s", diff)
	}
}

func TestCharactersSurviveAnySplitOfTheStream(t *testing.T) {
	t.Parallel()
	const thai = "สวัสดีครับ 🙂 กรุงเทพมหานคร"
	p := newPerson()
	m := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		all := event(map[string]any{"content": thai[:6]}, nil) + ": a comment\n\n" +
			strings.ReplaceAll(event(map[string]any{"content": thai[6:]}, nil), "\n", "\r\n") + event(map[string]any{}, "stop") + "data: [DONE]\n\n"
		for i := range len(all) {
			_, _ = w.Write([]byte{all[i]})
			w.(http.Flusher).Flush()
		}
	})
	if err := p.talk(m).answer(t.Context(), "Hello in Thai?"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(thai+"\n", p.out.String()); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestWhatHappensToAQuestion(t *testing.T) {
	t.Parallel()
	const busy = `{"error":{"message":"Too many requests: 64 are in flight here; try again later","type":"requests","param":null,"code":"rate_limit_exceeded"}}`
	const loading = `{"error":{"message":"The model is not ready to answer (phase \"loading\"); try again later","type":"server_error","param":null,"code":"not_ready"}}`
	const stopping = `{"error":{"message":"This pod is stopping; try again","type":"server_error","param":null,"code":"stopping"}}`
	for name, tc := range map[string]struct {
		answers []http.HandlerFunc
		wait    time.Duration
		out     string
		notes   string
		err     string
		slept   []time.Duration
		history []message
	}{
		"too many requests: waits as long as the server says, and says so": {
			answers: []http.HandlerFunc{refuses(429, "3", busy), refuses(429, "", busy), says("Yes")},
			out:     "Yes\n", slept: []time.Duration{3 * time.Second, time.Second},
			notes:   "The model has too many requests: asking again in 3s\nThe model has too many requests: asking again in 1s\n",
			history: []message{{Role: "user", Content: "?"}, {Role: "assistant", Content: "Yes"}},
		},
		"a pod that stops: asks again": {
			answers: []http.HandlerFunc{refuses(503, "1", stopping), says("Yes")},
			out:     "Yes\n", slept: []time.Duration{time.Second}, notes: "The pod stops: asking again in 1s\n",
			history: []message{{Role: "user", Content: "?"}, {Role: "assistant", Content: "Yes"}},
		},
		"a model that loads: says the phase": {
			answers: []http.HandlerFunc{refuses(503, "2", loading)},
			err:     `the model answered 503: The model is not ready to answer (phase "loading"); try again later`,
		},
		"a model that loads, with --wait: waits": {
			answers: []http.HandlerFunc{refuses(503, "2", loading), says("Yes")}, wait: time.Minute,
			out: "Yes\n", slept: []time.Duration{2 * time.Second},
			notes:   "The model is not ready to answer (phase \"loading\"); try again later: asking again in 2s\n",
			history: []message{{Role: "user", Content: "?"}, {Role: "assistant", Content: "Yes"}},
		},
		"a model that loads for longer than --wait: says the phase": {
			answers: []http.HandlerFunc{refuses(503, "2", loading)}, wait: 3 * time.Second,
			slept: []time.Duration{2 * time.Second, 2 * time.Second},
			notes: strings.Repeat("The model is not ready to answer (phase \"loading\"); try again later: asking again in 2s\n", 2),
			err:   `the model answered 503: The model is not ready to answer (phase "loading"); try again later`,
		},
		"a stream that is cut: keeps what came, marked": {
			answers: []http.HandlerFunc{cut("The capital ", "of")},
			out:     "The capital of\n", err: "the connection ended in the middle of the answer: unexpected EOF",
			history: []message{{Role: "user", Content: "?"}, {Role: "assistant", Content: "The capital of", stopped: true}},
		},
		"a stream that ends cleanly, but without an end": {
			answers: []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				begin(w, "The")
			}},
			out: "The\n", err: "the connection ended in the middle of the answer",
			history: []message{{Role: "user", Content: "?"}, {Role: "assistant", Content: "The", stopped: true}},
		},
		"a stream that is cut before its first word: asks again": {
			answers: []http.HandlerFunc{cut(), says("Yes")},
			out:     "Yes\n", slept: []time.Duration{time.Second},
			notes:   "the connection ended in the middle of the answer: unexpected EOF: trying again\n",
			history: []message{{Role: "user", Content: "?"}, {Role: "assistant", Content: "Yes"}},
		},
		"a stream that is always cut: gives up, and forgets the question": {
			answers: []http.HandlerFunc{cut()},
			slept:   []time.Duration{time.Second, time.Second},
			notes:   strings.Repeat("the connection ended in the middle of the answer: unexpected EOF: trying again\n", 2),
			err:     "the connection ended in the middle of the answer: unexpected EOF",
		},
		"an error in the middle of a stream": {
			answers: []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				begin(w, "The")
				_, _ = io.WriteString(w, `data: {"error":{"message":"the context is full","code":500}}`+"\n\n")
			}},
			out: "The\n", err: "the model broke the answer off: the context is full",
			history: []message{{Role: "user", Content: "?"}, {Role: "assistant", Content: "The", stopped: true}},
		},
		"a limit of tokens is told": {
			answers: []http.HandlerFunc{ends("length", "The capital of")},
			out:     "The capital of\n",
			notes:   "The answer ends here because it has reached its limit of tokens: --max-tokens, or the model's context\n",
			history: []message{{Role: "user", Content: "?"}, {Role: "assistant", Content: "The capital of"}},
		},
		"a server that does not stream": {
			answers: []http.HandlerFunc{refuses(200, "", `{"choices":[{"index":0,"message":{"role":"assistant","content":"Yes"},"finish_reason":"stop"}]}`)},
			out:     "Yes\n",
			history: []message{{Role: "user", Content: "?"}, {Role: "assistant", Content: "Yes"}},
		},
		"a refusal of something in between": {
			answers: []http.HandlerFunc{refuses(502, "", "<h1>Bad Gateway</h1>")},
			err:     "the model answered 502: <h1>Bad Gateway</h1>",
		},
		"a refusal of /chat's shape": {
			answers: []http.HandlerFunc{refuses(404, "", `{"detail":"Not Found"}`)},
			err:     "the model answered 404: Not Found",
		},
		"thoughts are no part of the answer": {
			answers: []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, event(map[string]any{"reasoning_content": "Hm."}, nil)+event(map[string]any{"content": "Yes"}, nil)+event(map[string]any{}, "stop"))
			}},
			out:     "Yes\n",
			history: []message{{Role: "user", Content: "?"}, {Role: "assistant", Content: "Yes"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, m := newPerson(), serve(t, tc.answers...)
			k := p.talk(m)
			k.wait = tc.wait
			err := k.answer(t.Context(), "?")
			if diff := cmp.Diff(tc.err, fmt.Sprint(orNone(err))); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			for _, c := range []struct {
				what      string
				want, got any
			}{{"answer", tc.out, p.out.String()}, {"notes", tc.notes, p.err.String()}, {"pauses", tc.slept, p.slept}, {"history", tc.history, k.history}} {
				if diff := cmp.Diff(c.want, c.got, cmp.AllowUnexported(message{})); diff != "" {
					t.Errorf("%s (-want +got):\n%s", c.what, diff)
				}
			}
		})
	}
}

func orNone(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCtrlCStopsTheAnswerAndTheEngine(t *testing.T) {
	t.Parallel()
	p, gone := newPerson(), make(chan struct{})
	m := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		begin(w, "One, two, ")
		<-r.Context().Done() // as the runner sees that its client went away
		close(gone)
	}, says("I was at two."))
	k := p.talk(m)
	k.out = writerFunc(func(b []byte) (int, error) {
		if p.stop != nil && p.out.Len() == 0 {
			p.stop() // the person has seen the first words
		}
		return p.out.Write(b)
	})
	k.turn(t.Context(), "Count to a million")
	select {
	case <-gone:
	case <-t.Context().Done():
		t.Fatal("the server never saw the request end")
	}
	k.turn(t.Context(), "Where were you?")
	if diff := cmp.Diff("One, two, \nI was at two.\n", p.out.String()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("(stopped)\n", p.err.String()); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if !strings.Contains(m.asked(1), `{"role":"assistant","content":"One, two, "},{"role":"user","content":"Where were you?"}`) {
		t.Errorf("the partial answer is not in the next request: %s", m.asked(1))
	}
	if got := transcript(k.history); !strings.Contains(got, "One, two, \n\n[stopped here]\n") {
		t.Errorf("the partial answer is not marked:\n%s", got)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// typed are lines of a person who then presses Ctrl-D.
type typed []string

func (l *typed) ReadLine() (string, error) {
	if len(*l) == 0 {
		return "", io.EOF
	}
	next := (*l)[0]
	*l = (*l)[1:]
	return next, nil
}

func TestAConversationOfLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, file := filepath.Join(dir, "talk.md"), filepath.Join(dir, "talk.json")
	p, m := newPerson(), serve(t, says("Paris."), says("Bonjour."))
	k := p.talk(m)
	k.place = place{name: m.URL}
	lines := typed{"Capital of France?", "", "  ", "/save " + text, "/save " + text, "/save", "/save " + file, "/rest", "/reset", " /etc is what?", "/exit", "never read"}
	if err := k.converse(t.Context(), &lines); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1 {
		t.Errorf("lines that are left: %q", lines)
	}
	want := strings.NewReplacer("TEXT", text, "FILE", file, "URL", "H"+m.URL[1:]).Replace(`URL answers. Ctrl-C stops an answer, Ctrl-D ends the conversation, /help lists the commands
Saved in TEXT
The conversation is not saved: TEXT exists
/save takes the name of one file
Saved in FILE
There is no command /rest; /help lists them. To ask the model about it, begin the line with a space
The conversation begins anew
`)
	if diff := cmp.Diff(want, p.err.String()); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(`{"messages":[{"role":"user","content":"/etc is what?"}],"stream":true}`, m.asked(1)); diff != "" {
		t.Errorf("request after /reset (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		text: "## user\n\nCapital of France?\n\n## assistant\n\nParis.\n",
		file: `{"messages":[{"role":"user","content":"Capital of France?"},{"role":"assistant","content":"Paris."}]}`,
	} {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == file {
			var compact bytes.Buffer
			if err := json.Compact(&compact, got); err != nil {
				t.Fatal(err)
			}
			got = bytes.TrimSpace(compact.Bytes())
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAWorkspaceThatIsNotReady(t *testing.T) {
	t.Parallel()
	pending := &NotReadyError{Name: "tiny", State: v1beta1.StatePending, Because: "NodesReady NoMatchingNode: No node matches"}
	starting := &NotReadyError{Name: "tiny", State: v1beta1.StatePending, Because: "InferenceReady Pending: The engine loads"}
	failed := &NotReadyError{Name: "tiny", State: v1beta1.StateFailed, Because: "Accepted ModelNotFound: No model"}
	for name, tc := range map[string]struct {
		seen  []error
		wait  time.Duration
		notes string
		err   string
	}{
		"without --wait it is said at once": {
			seen: []error{pending}, err: `Workspace "tiny" does not answer, it is Pending: NodesReady NoMatchingNode: No node matches; add --wait to wait for it, or see: kaito explain tiny -n chat`,
		},
		"with --wait each reason is said once": {
			seen: []error{pending, pending, starting, starting, nil}, wait: time.Minute,
			notes: "Waiting for Workspace \"tiny\": NodesReady NoMatchingNode: No node matches\nWaiting for Workspace \"tiny\": InferenceReady Pending: The engine loads\n",
		},
		"with --wait it ends in time": {
			seen: []error{pending}, wait: 5 * time.Second,
			notes: "Waiting for Workspace \"tiny\": NodesReady NoMatchingNode: No node matches\n",
			err:   `Workspace "tiny" does not answer, it is Pending: NodesReady NoMatchingNode: No node matches; waited for 5s; see: kaito explain tiny -n chat`,
		},
		"a Workspace that needs an edit is not waited for": {
			seen: []error{failed}, wait: time.Minute,
			err: `Workspace "tiny" does not answer, it is Failed: Accepted ModelNotFound: No model; waiting does not help; see: kaito explain tiny -n chat`,
		},
		"what is no wait ends it": {
			seen: []error{pending, errors.New("the cluster is gone")}, wait: time.Minute,
			notes: "Waiting for Workspace \"tiny\": NodesReady NoMatchingNode: No node matches\n",
			err:   "the cluster is gone",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, m := newPerson(), serve(t, says("Yes"))
			k, o := p.talk(m), options{wait: tc.wait}
			o.cluster.Namespace = "chat"
			k.wait = tc.wait
			k.site.look = func(context.Context) (place, error) {
				next := tc.seen[0]
				if len(tc.seen) > 1 {
					tc.seen = tc.seen[1:]
				}
				return place{name: "pod tiny-0"}, next
			}
			err := k.answer(t.Context(), "?")
			if err != nil {
				err = o.advise(p.Shell, err)
			}
			if diff := cmp.Diff(tc.err, orNone(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.notes, p.err.String()); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}
