package tuneprogress

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"kaito.sh/kaito/internal/runner/contract"
)

// run starts a Watcher whose pods all answer with handler, on a clock of the test's.
func run(t *testing.T, handler http.HandlerFunc) (*Watcher, *clocktesting.FakeClock) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	now := clocktesting.NewFakeClock(time.Unix(1_000_000, 0))
	w := newWatcher(now, number)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w, now
}

// hears waits for news.
func hears(t *testing.T, w *Watcher) types.NamespacedName {
	t.Helper()
	select {
	case ws := <-w.News():
		return ws
	case <-time.After(30 * time.Second):
		t.Fatal("no news within 30 s")
		return types.NamespacedName{}
	}
}

func TestAPodIsAskedAtOnceAndThenAtEachInterval(t *testing.T) {
	t.Parallel()
	var step atomic.Int64
	w, now := run(t, func(out http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/progress" {
			t.Errorf("asked for %s", req.URL.Path)
		}
		_ = json.NewEncoder(out).Encode(contract.Progress{RunID: "r", Phase: contract.TuneTraining, Step: int(step.Load()), TotalSteps: 10})
	})
	ws := types.NamespacedName{Namespace: "ns", Name: "tune"}
	w.Watch(ws, "pod", "127.0.0.1")
	if got := hears(t, w); got != ws {
		t.Errorf("news of %v, want %v", got, ws)
	}
	step.Store(3)
	for !now.HasWaiters() { // the ticker is made by Start
		time.Sleep(time.Millisecond)
	}
	now.Step(interval)
	hears(t, w)
	want := &contract.Progress{RunID: "r", Phase: contract.TuneTraining, Step: 3, TotalSteps: 10}
	if diff := cmp.Diff(want, w.Progress(ws, "pod")); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if got := w.Progress(ws, "another"); got != nil {
		t.Errorf("another pod has said %v", got)
	}
	w.Forget(ws)
	if got := w.Progress(ws, "pod"); got != nil {
		t.Errorf("a pod that was forgotten has said %v", got)
	}
}

func TestAnAnswerThatIsNoneIsNoNews(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"an error": func(out http.ResponseWriter, _ *http.Request) { http.Error(out, "no", http.StatusInternalServerError) },
		"no JSON":  func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write([]byte("hello")) },
		"one that does not end": func(out http.ResponseWriter, _ *http.Request) {
			_, _ = out.Write([]byte(`{"phase":"` + strings.Repeat("x", most)))
		},
		"a way elsewhere": func(out http.ResponseWriter, req *http.Request) {
			http.Redirect(out, req, "http://elsewhere.example/", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(answer)
			defer server.Close()
			w := newWatcher(clocktesting.NewFakeClock(time.Unix(0, 0)), server.Listener.Addr().(*net.TCPAddr).Port)
			if said, err := w.ask(t.Context(), "127.0.0.1"); err == nil {
				t.Errorf("it says %v", said)
			}
		})
	}
}

func TestSmallNewsWait(t *testing.T) {
	t.Parallel()
	told := contract.Progress{RunID: "r", Phase: contract.TuneTraining, Step: 200, TotalSteps: 1000, Loss: 2}
	for name, tc := range map[string]struct {
		edit  func(*contract.Progress)
		since time.Duration
		want  bool
	}{
		"nothing new":              {func(*contract.Progress) {}, time.Hour, false},
		"a step":                   {func(p *contract.Progress) { p.Step = 201 }, time.Second, false},
		"a step after a while":     {func(p *contract.Progress) { p.Step = 201 }, quiet, true},
		"a hundredth of the steps": {func(p *contract.Progress) { p.Step = 210 }, time.Second, true},
		"another phase":            {func(p *contract.Progress) { p.Phase = contract.TunePublishing }, 0, true},
		"another run":              {func(p *contract.Progress) { p.RunID = "s" }, 0, true},
		"a step back":              {func(p *contract.Progress) { p.Step = 199 }, 0, true},
		"a checkpoint waits":       {func(p *contract.Progress) { p.Checkpoint = 200 }, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := told
			tc.edit(&said)
			if got := isNews(&told, &said, tc.since); got != tc.want {
				t.Errorf("news: %v, want %v", got, tc.want)
			}
		})
	}
	if !isNews(nil, &told, 0) {
		t.Error("the first answer is no news")
	}
}
