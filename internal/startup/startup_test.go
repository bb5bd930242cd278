package startup

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// quick is a clock whose waits are over at once.
type quick struct{ clock.RealClock }

func (quick) After(time.Duration) <-chan time.Time {
	over := make(chan time.Time, 1)
	over <- time.Time{}
	return over
}

// probe starts a Prober that asks at a server's port.
func probe(t *testing.T, answer http.HandlerFunc) (*Prober, string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	p := newProber(quick{}, number)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p, host
}

func TestAPodIsAskedOnceAndItsAnswerIsNews(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	p, host := probe(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/health":
			w.WriteHeader(http.StatusNotFound)
		case asked.Add(1) == 1:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"status":"loading","startup":{"checking":0.1}}`))
		default:
			_, _ = w.Write([]byte(`{"status":"ok","startup":{"checking":0.1,"loading":4.5,"total":4.6}}`))
		}
	})
	first, second := types.NamespacedName{Namespace: "a", Name: "one"}, types.NamespacedName{Namespace: "a", Name: "two"}
	for range 3 {
		p.Ask(first, "pod", host)
	}
	if got := <-p.News(); got != first {
		t.Errorf("news are of %v, want %v", got, first)
	}
	want := map[string]float64{"checking": 0.1, "loading": 4.5, "total": 4.6}
	if diff := cmp.Diff(want, p.Answer("pod")); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	p.Ask(first, "pod", host)
	p.Ask(second, "other", host)
	if got := <-p.News(); got != second {
		t.Errorf("news are of %v, want %v", got, second)
	}
	// Once refused, once answered, and the other pod.
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

func TestAPodThatSaysNothingOfItsStartIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"no JSON":             func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) },
		"JSON of another":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"ok"}`)) },
		"never ready":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a way to elsewhere":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
		"an answer too large": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, most+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 2*tries)
			p, host := probe(t, func(w http.ResponseWriter, r *http.Request) {
				asked <- r.URL.Path
				answer(w, r)
			})
			p.Ask(types.NamespacedName{Name: "ws"}, "pod", host)
			for range tries {
				if path := <-asked; path != "/health" {
					t.Errorf("asked for %q", path)
				}
			}
			p.Ask(types.NamespacedName{Name: "ws"}, "pod", host)
			if got := p.Answer("pod"); got != nil {
				t.Errorf("answer is %v, want none", got)
			}
		})
	}
}

func TestManyPodsAreAskedAFewAtATime(t *testing.T) {
	t.Parallel()
	var now, peak atomic.Int64
	p, host := probe(t, func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
		}
		_, _ = w.Write([]byte(`{"startup":{"total":1}}`))
	})
	const pods = 100
	for i := range pods {
		p.Ask(types.NamespacedName{Name: strconv.Itoa(i)}, types.UID(strconv.Itoa(i)), host)
	}
	seen := map[string]bool{}
	for range pods {
		seen[(<-p.News()).Name] = true
	}
	if len(seen) != pods || peak.Load() > hands {
		t.Errorf("%d of %d pods answered, %d at once; want all, and no more than %d at once", len(seen), pods, peak.Load(), hands)
	}
}
