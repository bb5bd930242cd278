package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/serve"
	"kaito.sh/kaito/internal/runner/standin"
)

// engineVariable makes the test's own program the engine: a real child process.
const engineVariable = "STANDIN_ENGINE"

func TestMain(m *testing.M) {
	if address := os.Getenv(engineVariable); address != "" {
		os.Exit(beEngine(address))
	}
	os.Exit(m.Run())
}

// beEngine is llama-server's manners: it loads for a while, and SIGTERM ends it at once,
// whatever is in flight.
func beEngine(address string) int {
	number := func(name string) int { n, _ := strconv.Atoi(os.Getenv(name)); return n }
	fmt.Println("loading the model")
	stand := &standin.Engine{
		Words: number("WORDS"), Pause: time.Duration(number("PAUSE_MS")) * time.Millisecond, LoadFor: number("LOAD_FOR"),
	}
	if code := number("DIE_WITH"); code != 0 {
		fmt.Fprintln(os.Stderr, "cannot allocate the context")
		return code
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(address, stand))
	return 1
}

// run is a runner in this process with an engine in another.
type run struct {
	t       *testing.T
	url     string
	signals chan os.Signal
	ended   chan error
	output  *buffer
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func port(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// engines counts the engines of this program.
var engines atomic.Int32

// own is an address that nobody else takes between now and the engine's start: the
// loopback network is large, and outgoing connections come from 127.0.0.1 alone.
func own() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d:5001", 1+(pid>>8)&0x7f, pid&0xff, engines.Add(1))
}

// start starts a runner; change may alter what it is told, env what its engine does.
func start(t *testing.T, change func(*serve.Options), env ...string) *run {
	t.Helper()
	address := own()
	front := port(t)
	r := &run{
		t: t, url: "http://" + front.Addr().String(), signals: make(chan os.Signal, 4),
		ended: make(chan error, 1), output: &buffer{},
	}
	kills := 0
	o := serve.Options{
		Contract: contract.Serve{
			APIVersion: contract.Version, Workspace: "ws",
			Model: contract.Model{ID: "tiny", Aliases: []string{"small"}, Context: 100},
			Engine: contract.Engine{
				Name: "llamacpp", Command: []string{os.Args[0]}, URL: "http://" + address, HealthPath: "/health",
				Env: []contract.EnvVar{{Name: engineVariable, Value: address}},
			},
			Limits: contract.Limits{MaxInFlight: 2, DrainSeconds: 10},
		},
		Listener: front, Stdout: r.output, Stderr: r.output, Environ: append(os.Environ(), env...),
		Signals: r.signals, Now: time.Now, Started: time.Now(),
		Grace: 300 * time.Millisecond, StopPatience: 5 * time.Second, Poll: 10 * time.Millisecond, Watch: 10 * time.Millisecond,
		MemoryKills: func() int { kills++; return kills }, Version: "test", Log: slog.New(slog.DiscardHandler),
	}
	change(&o)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r.ended <- serve.Run(ctx, o)
	}()
	t.Cleanup(func() {
		cancel()
		<-gone
	})
	return r
}

func asIs(*serve.Options) {}

// health is the status and the body of GET /health.
func (r *run) health() (int, map[string]any) {
	resp, err := http.Get(r.url + "/health")
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		r.t.Error(err)
	}
	return resp.StatusCode, body
}

// ready waits until the runner can answer, and tells which phases it saw.
func (r *run) ready() (phases []string) {
	r.t.Helper()
	for range 1000 {
		code, body := r.health()
		if p := fmt.Sprint(code, " ", body["phase"]); code != 0 && (len(phases) == 0 || phases[len(phases)-1] != p) {
			phases = append(phases, p)
		}
		if code == http.StatusOK {
			return phases
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.t.Fatalf("not ready after %v; output:\n%s", phases, r.output)
	return nil
}

// answer is what one request got.
type answer struct {
	code   int
	body   string
	header http.Header
	closes bool // the server asks for the end of the connection
	err    error
}

func (r *run) get(path string) answer { return received(http.Get(r.url + path)) }

func (r *run) post(path, body string) answer {
	return received(http.Post(r.url+path, "application/json", strings.NewReader(body)))
}

func received(resp *http.Response, err error) answer {
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, strings.TrimSpace(string(out)), resp.Header, resp.Close, err}
}

// background sends a request and returns once it is at the engine.
func (r *run) background(path, body string) <-chan answer {
	r.t.Helper()
	_, before := r.health()
	done := make(chan answer, 1)
	go func() { done <- r.post(path, body) }()
	for range 1000 {
		if _, now := r.health(); now["inFlight"].(float64) > before["inFlight"].(float64) {
			return done
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.t.Fatal("the request did not arrive")
	return nil
}

func (r *run) wait() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(20 * time.Second):
		r.t.Fatal("the runner did not end")
		return nil
	}
}

const stream = `{"stream": true, "messages": []}`

func TestPortIsOpenBeforeTheEngineCanAnswer(t *testing.T) {
	t.Parallel()
	r := start(t, asIs, "LOAD_FOR=20")
	var early answer
	for early.code == 0 { // until the port accepts
		early = r.post("/v1/chat/completions", stream)
	}
	if early.code != http.StatusServiceUnavailable || early.header.Get("Retry-After") == "" || !strings.Contains(early.body, `"code":"not_ready"`) {
		t.Errorf("before it is ready: %d %s", early.code, early.body)
	}
	phases := r.ready()
	if got := strings.Join(phases, ", "); !strings.HasSuffix(got, "503 loading, 200 ready") {
		t.Errorf("phases %s", got)
	}
	_, body := r.health()
	parts, _ := body["startup"].(map[string]any)
	for _, p := range []string{"checking", "starting", "loading", "total"} {
		if _, ok := parts[p]; !ok {
			t.Errorf("startup lacks %s: %v", p, body)
		}
	}
	if got := r.post("/chat", `{"prompt": "who"}`); got.body != `{"Result":"who\nword0 word1 word2"}` {
		t.Errorf("/chat: %d %s", got.code, got.body)
	}
	r.signals <- syscall.SIGTERM
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(r.output.String(), "loading the model\n") {
		t.Errorf("the engine's output: %s", r.output)
	}
}

func TestStopLetsTheStreamFinish(t *testing.T) {
	t.Parallel()
	r := start(t, asIs, "WORDS=20", "PAUSE_MS=60")
	r.ready()
	streaming := r.background("/v1/chat/completions", stream)
	r.signals <- syscall.SIGTERM
	for code := 200; code == 200; code, _ = r.health() {
	}
	// Within the grace a new request is taken, and told to come elsewhere next time.
	if got := r.background("/chat", `{"prompt":"x"}`); got == nil {
		t.Error("no request within the grace")
	}
	time.Sleep(400 * time.Millisecond) // the grace passes
	late := r.post("/v1/chat/completions", stream)
	if late.code != http.StatusServiceUnavailable || !strings.Contains(late.body, `"code":"stopping"`) {
		t.Errorf("after the grace: %d %s", late.code, late.body)
	}
	got := <-streaming
	if got.err != nil || strings.Count(got.body, "word") != 20 || !strings.HasSuffix(got.body, "data: [DONE]") {
		t.Errorf("the stream was cut: %v %s", got.err, got.body)
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if code, _ := r.health(); code != 0 {
		t.Errorf("the port is open after the end: %d", code)
	}
}

func TestStopHasALimit(t *testing.T) {
	t.Parallel()
	for name, hurry := range map[string]func(*run){
		"drainSeconds pass":       func(*run) {},
		"a second signal hurries": func(r *run) { r.signals <- syscall.SIGTERM },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, func(o *serve.Options) { o.Contract.Limits.DrainSeconds = 1 }, "WORDS=1000", "PAUSE_MS=20")
			r.ready()
			streaming := r.background("/v1/chat/completions", stream)
			r.signals <- syscall.SIGTERM
			hurry(r)
			if err := r.wait(); err != nil {
				t.Error(err)
			}
			if got := <-streaming; strings.HasSuffix(got.body, "[DONE]") {
				t.Error("a stream of 20 s became whole in 1 s")
			}
		})
	}
}

func TestOneRequestTooManyIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, asIs, "WORDS=100", "PAUSE_MS=20")
	r.ready()
	r.background("/v1/chat/completions", stream)
	r.background("/chat", `{"prompt":"x"}`)
	for _, path := range []string{"/v1/chat/completions", "/chat"} {
		got := r.post(path, stream)
		const want = `{"error":{"message":"Too many requests: 2 are in flight here; try again later","type":"requests","param":null,"code":"rate_limit_exceeded"}}`
		if got.code != http.StatusTooManyRequests || got.body != want || got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s", path, got.code, got.body)
		}
	}
}

func TestEndingsAreTold(t *testing.T) {
	t.Parallel()
	empty := t.TempDir() + "/empty.gguf"
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*serve.Options)
		env    string
		want   ending.Ending // Message is a part of it
		code   int
	}{
		"weights that are absent": {
			func(o *serve.Options) { o.Contract.Engine.Files = []string{"/nowhere/m.gguf"} }, "",
			ending.Ending{Reason: ending.WeightsMissing, Message: "/nowhere/m.gguf", ExitCode: 2, Phase: "checking"},
			2,
		},
		"weights that are empty": {
			func(o *serve.Options) { o.Contract.Engine.Files = []string{empty} }, "",
			ending.Ending{Reason: ending.WeightsMissing, Message: "which is empty", ExitCode: 2, Phase: "checking"},
			2,
		},
		"a program that is not there": {
			func(o *serve.Options) { o.Contract.Engine.Command = []string{"/nowhere/llama-server"} }, "",
			ending.Ending{Reason: ending.EngineNotStarted, Message: `start engine "/nowhere/llama-server"`, ExitCode: 2, Phase: "checking"},
			2,
		},
		"an engine that gives up": {
			asIs, "DIE_WITH=7",
			ending.Ending{Reason: ending.EngineExited, Message: "the engine llamacpp ended with exit code 7 while starting", ExitCode: 7, Phase: "starting", Lines: []string{"cannot allocate the context"}},
			7,
		},
		"an engine that was killed for memory": {
			func(o *serve.Options) {
				o.Contract.Engine.Command = []string{"/bin/sh", "-c", "echo loading; kill -9 $$"}
			}, "",
			ending.Ending{Reason: ending.OutOfMemory, Message: "used up its memory", ExitCode: -1, Signal: 9, Phase: "starting", Lines: []string{"loading"}},
			137,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, tc.change, tc.env)
			var got *ending.Ending
			if err := r.wait(); !errors.As(err, &got) {
				t.Fatalf("ended with %v", err)
			}
			if got.Reason != tc.want.Reason || got.ExitCode != tc.want.ExitCode || got.Signal != tc.want.Signal ||
				got.Phase != tc.want.Phase || !strings.Contains(got.Message, tc.want.Message) || got.Code() != tc.code {
				t.Errorf("got %+v, code %d", got, got.Code())
			}
			if want := strings.Join(tc.want.Lines, ""); !strings.Contains(strings.Join(got.Lines, "\n"), want) {
				t.Errorf("lines %q lack %q", got.Lines, want)
			}
		})
	}
}

func TestWhatIsNotServedIsNotFound(t *testing.T) {
	t.Parallel()
	r := start(t, asIs)
	r.ready()
	for path, want := range map[string]int{
		"/": 200, "/healthz": 200, "/ready": 200, "/v1/models": 200, "/v1/models/small": 200, "/metrics": 200,
		"/slots": 404, "/props": 404, "/lora-adapters": 404, "/completion": 404, "/v1/nothing": 404, "/chat": 405, "/v1": 404,
	} {
		resp, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

func TestEngineThatTurnsSickIsTold(t *testing.T) {
	t.Parallel()
	var sick atomic.Bool
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(behind.Close)
	r := start(t, func(o *serve.Options) {
		o.Contract.Engine.URL = behind.URL
		o.Contract.Engine.Command = []string{"/bin/sh", "-c", "trap 'echo got USR1' USR1; trap 'exit 0' TERM; while :; do sleep 0.02; done"}
	})
	r.ready()
	for _, want := range []string{"503 unhealthy", "200 ready"} {
		sick.Store(!sick.Load())
		r.eventually(want, func() bool {
			code, body := r.health()
			return fmt.Sprint(code, " ", body["phase"]) == want
		})
	}
	r.signals <- syscall.SIGUSR1
	r.eventually("a signal that was passed on", func() bool { return strings.Contains(r.output.String(), "got USR1") })
}

func (r *run) eventually(what string, ok func() bool) {
	r.t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.t.Fatalf("not seen within 5 s: %s; output:\n%s", what, r.output)
}
