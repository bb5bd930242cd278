package metrics_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"kaito.sh/kaito/internal/runner/metrics"
	"kaito.sh/kaito/internal/runner/phase"
)

const llama = "# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed\n" +
	"# TYPE llamacpp:prompt_tokens_total counter\nllamacpp:prompt_tokens_total 44\n"

// page is GET /metrics after a start of 1 + 2 + 3 seconds and a few answers.
func page(t *testing.T, engine func(context.Context) ([]byte, error)) string {
	t.Helper()
	clock := time.Unix(0, 0)
	line := phase.New(func() time.Time { return clock }, clock)
	for i, p := range []phase.Phase{phase.Starting, phase.Loading, phase.Ready} {
		clock = clock.Add(time.Duration(i+1) * time.Second)
		line.Enter(p)
	}
	who := metrics.Identity{Workspace: "ws", Model: "tiny", Engine: "llamacpp", Version: "v1"}
	m := metrics.New(who, line, func() int { return 3 })
	m.Rejected(metrics.Overload)
	m.Answered("/chat", 200, 0.1, 0.2)
	m.Answered("/chat", 404, -1, 0.2)
	m.Answered("/v1/made/up", 200, 0.1, 0.2)
	m.Answered("/made/up", 200, 0.1, 0.2)
	w := httptest.NewRecorder()
	(&metrics.Page{Own: m, Engine: engine, Log: slog.New(slog.DiscardHandler)}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%d %s", w.Code, w.Header())
	}
	return w.Body.String()
}

func TestPageHoldsBothKindsOfFamilies(t *testing.T) {
	t.Parallel()
	text := page(t, func(context.Context) ([]byte, error) { return []byte(llama), nil })
	for _, want := range []string{
		`llamacpp:prompt_tokens_total 44`,
		`kaito_engine_metrics_up 1`,
		`kaito_startup_phase_seconds{phase="checking"} 1`,
		`kaito_startup_phase_seconds{phase="starting"} 2`,
		`kaito_startup_phase_seconds{phase="loading"} 3`,
		`kaito_startup_phase_seconds{phase="total"} 6`,
		`kaito_ready 1`,
		`kaito_requests_in_flight 3`,
		`kaito_rejections_total{reason="overload"} 1`,
		`kaito_rejections_total{reason="stopping"} 0`,
		`kaito_ratelimit_rejected_total 1`,
		`kaito_requests_total{code="200",path="/chat"} 1`,
		`kaito_requests_total{code="404",path="/chat"} 1`,
		`kaito_requests_total{code="200",path="/v1/other"} 1`,
		`kaito_requests_total{code="200",path="other"} 1`,
		`kaito_request_duration_seconds_count{path="/chat"} 1`,
		`kaito_runner_info{engine="llamacpp",model="tiny",version="v1",workspace="ws"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the page lacks %s", want)
		}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(text)); err != nil {
		t.Errorf("the page is not in the exposition format: %v", err)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "kaito_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestPageStandsWithoutTheEngine(t *testing.T) {
	t.Parallel()
	for name, engine := range map[string]func(context.Context) ([]byte, error){
		"an engine that is down":       func(context.Context) ([]byte, error) { return nil, errors.New("down") },
		"a page that is no exposition": func(context.Context) ([]byte, error) { return []byte(llama + "<html>\n"), nil },
		"a family that is the runner's": func(context.Context) ([]byte, error) {
			return []byte("kaito_ready 0\nkaito_engine_metrics_up 0\n"), nil
		},
	} {
		text := page(t, engine)
		if strings.Contains(text, "llamacpp:") || !strings.Contains(text, "\nkaito_ready 1\n") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}
