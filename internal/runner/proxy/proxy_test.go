package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/engine"
	"kaito.sh/kaito/internal/runner/intake"
	"kaito.sh/kaito/internal/runner/proxy"
	"kaito.sh/kaito/internal/runner/standin"
)

var names = proxy.Names{ID: "tiny", Aliases: []string{"Maker/Tiny"}, Engine: engine.Target{Model: "base"}}

// front is a proxy, reached over HTTP, before stand.
func front(t *testing.T, stand http.Handler, limit int64) string {
	t.Helper()
	behind := httptest.NewServer(stand)
	t.Cleanup(behind.Close)
	base, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	body := intake.New(limit, time.Now)
	server := httptest.NewServer(proxy.New(base, names, body, engine.Transport(8), slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	return server.URL
}

func send(t *testing.T, method, address, kind, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(out))
}

func TestBodiesReachTheEngineUnderItsOwnName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ sent, got string }{
		"the id":                {`{"model":"tiny","x":1}`, `{"model":"base","x":1}`},
		"an alias":              {`{"x":1,"model":"Maker/Tiny"}`, `{"x":1,"model":"base"}`},
		"no model":              {`{"x":1}`, `{"model":"base","x":1}`},
		"a null":                {`{"model":null}`, `{"model":"base"}`},
		"nothing":               {` { }`, `{"model":"base" }`},
		"the name in disguise":  {`{"\u006dodel" : "\u0074iny" }`, `{"\u006dodel" : "base" }`},
		"the rest stays itself": {`{ "n":1.0e2,"a":1,"a":2, "model":"tiny","s":"<\u00e9>" ,"o":{"model":1} }`, `{ "n":1.0e2,"a":1,"a":2, "model":"base","s":"<\u00e9>" ,"o":{"model":1} }`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got, length string
			base := front(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				data, _ := io.ReadAll(r.Body)
				got, length = strings.TrimSpace(string(data)), r.Header.Get("Content-Length")
			}), 1000)
			if code, out := send(t, http.MethodPost, base+"/v1/completions", "application/json", tc.sent); code != 200 {
				t.Fatalf("%d %s", code, out)
			}
			if got != tc.got || length == "" {
				t.Errorf("engine got %s (length %s), want %s", got, length, tc.got)
			}
		})
	}
}

func TestBodyWithTheEnginesNameStaysByteForByte(t *testing.T) {
	t.Parallel()
	const sent = "{ \"z\" :1,\n\"model\":\"tiny\" , \"a\":[ ] }"
	var got string
	behind := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		got = string(data)
	}))
	t.Cleanup(behind.Close)
	base, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	own := proxy.Names{ID: "tiny", Engine: engine.Target{Model: "tiny"}}
	p := httptest.NewServer(proxy.New(base, own, intake.New(100, time.Now), engine.Transport(8), slog.New(slog.DiscardHandler)))
	t.Cleanup(p.Close)
	if code, _ := send(t, http.MethodPost, p.URL+"/v1/completions", "application/json", sent); code != 200 || got != sent {
		t.Errorf("%d, engine got %q", code, got)
	}
}

func TestStreamsAloneAskTheEngineToCloseTheConnection(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`{}`:                                     false,
		`{"stream":false}`:                       false,
		`{"stream":null}`:                        false,
		`{"x":{"stream":true}}`:                  false,
		`{"stream":true}`:                        true,
		`{"stream":1}`:                           true,
		`{"str\u0065am" : true ,"model":"tiny"}`: true,
	} {
		var closes bool
		base := front(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { closes = r.Close }), 100)
		if code, out := send(t, http.MethodPost, base+"/v1/chat/completions", "application/json", body); code != 200 || closes != want {
			t.Errorf("%s: %d %s, closes %v, want %v", body, code, out, closes, want)
		}
	}
	base := front(t, &standin.Engine{}, 100)
	const want = `{"error":{"message":"stream is given more than once","type":"invalid_request_error","param":"stream","code":null}}`
	if code, out := send(t, http.MethodPost, base+"/v1/chat/completions", "application/json", `{"stream":false,"stream":true}`); code != 400 || out != want {
		t.Errorf("%d %s", code, out)
	}
}

func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	base := front(t, &standin.Engine{}, 100)
	for name, tc := range map[string]struct {
		method, path, kind, body string
		code                     int
		want                     string
	}{
		"an unknown model": {
			"POST", "/v1/chat/completions", "application/json", `{"model":"gpt"}`, 404,
			"{\"error\":{\"message\":\"The model `gpt` does not exist here; served: tiny, Maker/Tiny\",\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":\"model_not_found\"}}",
		},
		"the engine's own name": {
			"POST", "/v1/chat/completions", "application/json", `{"model":"base"}`, 404,
			"{\"error\":{\"message\":\"The model `base` does not exist here; served: tiny, Maker/Tiny\",\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":\"model_not_found\"}}",
		},
		"a number for a model": {"POST", "/v1/chat/completions", "application/json", `{"model":1}`, 400, `{"error":{"message":"model must be a string","type":"invalid_request_error","param":"model","code":null}}`},
		"two models":           {"POST", "/v1/chat/completions", "application/json", `{"model":"tiny","model":"gpt"}`, 400, `{"error":{"message":"model is given more than once","type":"invalid_request_error","param":"model","code":null}}`},
		"broken JSON":          {"POST", "/v1/chat/completions", "application/json", `{"model"`, 400, `{"error":{"message":"The request body is not valid JSON: unexpected end of JSON input (at byte 8)","type":"invalid_request_error","param":null,"code":null}}`},
		"a null":               {"POST", "/v1/chat/completions", "application/json", `null`, 400, `{"error":{"message":"The request body must be a JSON object","type":"invalid_request_error","param":null,"code":null}}`},
		"a long body":          {"POST", "/v1/chat/completions", "application/json", `{"x":"` + strings.Repeat("x", 100) + `"}`, 413, `{"error":{"message":"The request body is larger than the 100 bytes allowed here","type":"invalid_request_error","param":null,"code":"request_too_large"}}`},
		"a long form":          {"POST", "/v1/audio/transcriptions", "multipart/form-data; boundary=x", strings.Repeat("x", 101), 413, `{"error":{"message":"The request body is larger than the 100 bytes allowed here","type":"invalid_request_error","param":null,"code":"request_too_large"}}`},
		"text":                 {"POST", "/v1/chat/completions", "text/plain", `{}`, 415, `{"error":{"message":"Unsupported Media Type \"text/plain\"; send JSON with the header Content-Type: application/json","type":"invalid_request_error","param":null,"code":"unsupported_media_type"}}`},
		"a way around":         {"GET", "/v1/..%2fslots", "", "", 404, `{"error":{"message":"Not Found","type":"invalid_request_error","param":null,"code":"not_found"}}`},
		"loading of adapters":  {"POST", "/v1/load_lora_adapter", "application/json", `{}`, 404, `{"error":{"message":"Not Found","type":"invalid_request_error","param":null,"code":"not_found"}}`},
		"what the engine lacks, in its own words": {
			"POST", "/v1/nothing", "application/json", `{}`, 404, `{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, got := send(t, tc.method, base+tc.path, tc.kind, tc.body)
			if code != tc.code {
				t.Errorf("status %d, want %d", code, tc.code)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// The engine makes its next event only once the client has read the one before.
func TestStreamArrivesAsItIsMade(t *testing.T) {
	t.Parallel()
	const events = 3
	read := make(chan struct{})
	base := front(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-read:
			case <-r.Context().Done():
				return
			}
		}
	}), 1000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader(`{"stream":true,"messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	count, lines := 0, bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data: ") {
			count++
			read <- struct{}{}
		}
	}
	if count != events || lines.Err() != nil {
		t.Errorf("%d events, then %v", count, lines.Err())
	}
}

func TestClientThatGoesAwayEndsTheWorkAtTheEngine(t *testing.T) {
	t.Parallel()
	stand := &standin.Engine{Words: 100_000, Pause: 20 * time.Millisecond}
	base := front(t, stand, 1000)
	for i, body := range []string{`{"stream":true,"messages":[]}`, `{"messages":[]}`} {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		left := make(chan struct{})
		go func() {
			defer close(left)
			if resp, err := http.DefaultClient.Do(r); err == nil {
				_, _ = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
		}()
		until(t, "the engine works on "+body, func() bool { return len(stand.Asked()) > i })
		cancel()
		<-left
		until(t, "the engine has given up "+body, func() bool { return stand.Gone() > i })
	}
}

// until waits for something to be so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 6000 {
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain until %s", what)
}

func TestBodiesStayApartAlsoWhereTheEngineAnswersBeforeItHasReadThem(t *testing.T) {
	t.Parallel()
	base := front(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Hasty") != "" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}), 1<<21)
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			want := `{"model":"base","x":"` + strings.Repeat(string(rune('a'+i)), 300_000) + `"}`
			for range 5 {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/completions", strings.NewReader(strings.Replace(want, "base", "tiny", 1)))
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					r.Header.Set("X-Hasty", "1")
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if i%2 == 1 && (err != nil || string(got) != want) {
					t.Errorf("%v: %d bytes that begin %.40q", err, len(got), got)
				}
			}
		})
	}
	wait.Wait()
}

func TestEngineThatIsDownIsABadGateway(t *testing.T) {
	t.Parallel()
	dead := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	p := proxy.New(dead, names, intake.New(100, time.Now), engine.Transport(8), slog.New(slog.DiscardHandler))
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{}`)))
	if w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), `"code":"engine_unreachable"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	m := &proxy.Models{Names: names, Context: 2048, Created: 12}
	const one = `{"id":"tiny","object":"model","created":12,"owned_by":"kaito","root":"tiny","parent":null,"max_model_len":2048}`
	for name, tc := range map[string]struct {
		method, path string
		code         int
		want         string
	}{
		"the list":             {"GET", "/v1/models", 200, `{"object":"list","data":[` + one + `]}`},
		"one by id":            {"GET", "/v1/models/tiny", 200, one},
		"one by alias":         {"GET", "/v1/models/Maker/Tiny", 200, one},
		"one that is not here": {"GET", "/v1/models/gpt", 404, "{\"error\":{\"message\":\"The model `gpt` does not exist here; served: tiny, Maker/Tiny\",\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":\"model_not_found\"}}"},
		"deletion":             {"DELETE", "/v1/models/tiny", 405, `{"error":{"message":"Method Not Allowed; use GET","type":"invalid_request_error","param":null,"code":"method_not_allowed"}}`},
	} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, nil))
		if w.Code != tc.code || strings.TrimSpace(w.Body.String()) != tc.want {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
