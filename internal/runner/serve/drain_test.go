package serve_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"kaito.sh/kaito/internal/runner/serve"
)

// held is an engine that keeps its answers back until they are released. A stream's
// first event goes out at once.
type held struct {
	release chan struct{}
	inside  atomic.Int64
}

const (
	heldPlain  = `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"first last"}}]}`
	heldStream = "data: first\n\ndata: last\n\ndata: [DONE]\n\n"
)

func (h *held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/chat/completions" {
		_, _ = io.WriteString(w, `{"status":"ok"}`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	streams := strings.Contains(string(body), `"stream":true`)
	if streams {
		first, _, _ := strings.Cut(heldStream, "data: last")
		_, _ = io.WriteString(w, first)
		w.(http.Flusher).Flush()
	}
	h.inside.Add(1)
	<-h.release
	if streams {
		_, last, _ := strings.Cut(heldStream, "first\n\n")
		_, _ = io.WriteString(w, last)
		return
	}
	_, _ = io.WriteString(w, heldPlain)
}

// behind starts a runner whose requests go to h; its process writes a line when it is asked to end.
func behind(t *testing.T, h http.Handler, change func(*serve.Options)) *run {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return start(t, func(o *serve.Options) {
		o.Contract.Engine.URL = server.URL
		o.Contract.Engine.Command = []string{"/bin/sh", "-c", "trap 'echo engine ends; exit 0' TERM; while :; do sleep 0.02; done"}
		change(o)
	})
}

func TestSixtyRequestsInFlightFinishWhileThePodStops(t *testing.T) {
	t.Parallel()
	const each = 30
	engine := &held{release: make(chan struct{})}
	r := behind(t, engine, func(o *serve.Options) {
		o.Contract.Limits.MaxInFlight = 0 // the default holds them all
		o.Grace = 0
	})
	r.ready()
	plain, streams := make(chan answer, each), make(chan answer, each)
	for range each {
		go func() { plain <- r.post("/v1/chat/completions", `{"messages":[]}`) }()
		go func() { streams <- r.post("/v1/chat/completions", `{"stream":true,"messages":[]}`) }()
	}
	r.eventually("60 requests at the engine", func() bool { return engine.inside.Load() == 2*each })

	r.signals <- syscall.SIGTERM
	var late answer
	r.eventually("new requests are refused", func() bool {
		_, body := r.health()
		if body["phase"] != "draining" {
			return false
		}
		late = r.post("/v1/chat/completions", stream)
		return late.code != 0
	})
	if late.code != http.StatusServiceUnavailable || late.header.Get("Retry-After") == "" || !strings.Contains(late.body, `"code":"stopping"`) {
		t.Errorf("a late request: %d %v %s", late.code, late.header, late.body)
	}
	if code, _ := r.health(); code != http.StatusServiceUnavailable {
		t.Errorf("/health while the pod drains: %d", code)
	}
	if got := r.get("/ready"); got.code != http.StatusOK {
		t.Errorf("/ready while the pod drains: %d %s", got.code, got.body)
	}
	if strings.Contains(r.output.String(), "engine ends") {
		t.Error("the engine was stopped while it worked")
	}

	close(engine.release)
	for range each {
		if got := <-plain; got.err != nil || got.code != http.StatusOK || got.body != heldPlain || !got.closes {
			t.Errorf("a plain answer: %d %v, closes %v, %s", got.code, got.err, got.closes, got.body)
		}
		if got := <-streams; got.err != nil || got.code != http.StatusOK || got.body != strings.TrimSpace(heldStream) {
			t.Errorf("a stream: %d %v %s", got.code, got.err, got.body)
		}
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.output.String(), "engine ends") {
		t.Error("the engine was not asked to end")
	}
}

func TestReadinessOutlastsHealth(t *testing.T) {
	t.Parallel()
	var loaded atomic.Bool
	r := behind(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !loaded.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}), asIs)
	r.eventually("the phase of a pod that loads", func() bool {
		got := r.get("/ready")
		return got.code == http.StatusServiceUnavailable && strings.Contains(got.body, `"phase":"loading"`)
	})
	loaded.Store(true)
	r.ready()
	if got := r.get("/ready"); got.code != http.StatusOK || !strings.Contains(got.body, `"status":"ok"`) {
		t.Errorf("/ready of a ready pod: %d %s", got.code, got.body)
	}
	if got := r.post("/ready", "{}"); got.code != http.StatusMethodNotAllowed {
		t.Errorf("POST /ready: %d", got.code)
	}
}

func TestStreamThatIsReadSlowlyOutlastsTheStop(t *testing.T) {
	t.Parallel()
	engine := &held{release: make(chan struct{})}
	r := behind(t, engine, asIs)
	r.ready()
	resp, err := http.Post(r.url+"/v1/chat/completions", "application/json", strings.NewReader(`{"stream":true,"messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: first\n" {
		t.Fatalf("%q, %v", line, err)
	}
	r.signals <- syscall.SIGTERM
	r.eventually("the drain", func() bool { code, _ := r.health(); return code != http.StatusOK })
	close(engine.release)
	if rest, err := io.ReadAll(lines); err != nil || !strings.HasSuffix(string(rest), "[DONE]\n\n") {
		t.Errorf("the stream was cut: %q, %v", rest, err)
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}
