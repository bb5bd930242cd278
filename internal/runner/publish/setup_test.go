package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/adapter/adaptertest"
	"kaito.sh/kaito/internal/oci/registrytest"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/progress"
	"kaito.sh/kaito/internal/runner/registry"
)

const runID = "0123456789ab"

// pod is a tuning pod's view of its output.
type pod struct {
	tune    contract.Tune
	secret  string
	folder  string
	wire    http.RoundTripper
	sleep   func(context.Context, time.Duration) error
	free    int64
	results string
}

// newPod is one whose output is the image at ref, with the right credentials for host.
func newPod(t *testing.T, ref string) *pod {
	t.Helper()
	p := &pod{secret: filepath.Join(t.TempDir(), "config.json"), folder: t.TempDir(), free: 1 << 40, sleep: nap, results: t.TempDir()}
	p.tune = contract.Tune{
		RunID: runID, Method: contract.MethodQLoRA,
		Model:  contract.TuneModel{ID: "smollm2-135m-instruct", HubID: adaptertest.Base, Revision: "7e27bd9"},
		Output: contract.TuneOutput{Image: ref, SecretName: "push"},
	}
	p.credentials(t, registrytest.User, registrytest.Password)
	adaptertest.Write(t, filepath.Join(p.results, "adapter"), adaptertest.Config(8), adaptertest.Tensors(4, 64, 8))
	p.say(t, "training.json", training())
	p.say(t, "summary.json", contract.Dataset{Files: 1, Bytes: 9000, Digest: "sha256:aa", Format: "messages", Rows: 100, Tokens: 5500})
	return p
}

func training() contract.Training {
	t := contract.Training{
		Steps: 150, Epochs: 3, FirstLoss: 4.1, LastLoss: 0.05, Seconds: 271.5, TokensPerSecond: 20.3, Rank: 8, TrainedParameters: 4096,
	}
	for i := range 64 {
		t.Losses = append(t.Losses, contract.Point{Step: i, Loss: 1.2345678901 / float64(i+1)})
	}
	return t
}

func (p *pod) say(t *testing.T, file string, what any) {
	t.Helper()
	raw, err := json.Marshal(what)
	if err == nil {
		err = os.WriteFile(filepath.Join(p.results, file), raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// credentials fills the Secret for the output's registry.
func (p *pod) credentials(t *testing.T, user, password string) {
	t.Helper()
	host, _, _ := strings.Cut(p.tune.Output.Image, "/")
	p.content(t, fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q}}}`, host, user, password))
}

func (p *pod) content(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(p.secret, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func nap(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }

func (p *pod) open() (*registry.Output, error) {
	return registry.Open(registry.Options{
		Tune: p.tune, SecretFile: p.secret, Phase: contract.TunePublishing, Transport: p.wire, Sleep: p.sleep, Log: slog.New(slog.DiscardHandler),
	})
}

func (p *pod) check(t *testing.T) error {
	t.Helper()
	return Check(t.Context(), CheckOptions{
		Tune: p.tune, Open: p.open, Output: p.folder, Checkpoints: "/nowhere/checkpoints", Phase: "checking",
		Free: func(string) (int64, error) { return p.free, nil }, Sleep: p.sleep, Log: slog.New(slog.DiscardHandler),
	})
}

func (p *pod) publish(ctx context.Context) (contract.Result, error) {
	return Run(ctx, Options{
		Tune: p.tune, Open: p.open, Output: p.folder, Adapter: filepath.Join(p.results, "adapter"),
		Training: filepath.Join(p.results, "training.json"), Dataset: filepath.Join(p.results, "summary.json"),
		Board: progress.NewBoard(runID, contract.TunePublishing), Log: slog.New(slog.DiscardHandler),
	})
}

// pulled brings the published adapter as a serving pod does.
func (p *pod) pulled(t *testing.T) adapter.Pulled {
	t.Helper()
	got, err := adapter.Pull(t.Context(), adapter.PullOptions{
		Reference: p.tune.Output.Image, Credentials: []string{p.secret}, Dir: t.TempDir(), Sleep: nap, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// meter counts writes of manifests, and can do something before a request goes out.
type meter struct {
	mu     sync.Mutex
	puts   []string
	before func(*http.Request)
	after  func(*http.Request, *http.Response) error
}

// RoundTrip counts and passes on.
func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
		m.puts = append(m.puts, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	}
	before, after := m.before, m.after
	m.mu.Unlock()
	if before != nil {
		before(r)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && after != nil {
		if err := after(r, resp); err != nil {
			resp.Body.Close()
			return nil, err
		}
	}
	return resp, err
}

func board() *progress.Board { return progress.NewBoard(runID, contract.TunePublishing) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
