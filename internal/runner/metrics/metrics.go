// Package metrics counts what the runner does and shows it together with the
// engine's own metrics on one page.
package metrics

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"kaito.sh/kaito/internal/runner/phase"
)

// Reason is why a request was refused before it reached the engine.
type Reason string

// The reasons.
const (
	// Overload: too many requests in flight.
	Overload Reason = "overload"
	// NotReady: the engine cannot answer yet, or no more.
	NotReady Reason = "not_ready"
	// Stopping: the pod drains.
	Stopping Reason = "stopping"
)

// Identity names what is served.
type Identity struct {
	// Workspace, Model, Engine and Version become labels of kaito_runner_info.
	Workspace, Model, Engine, Version string
}

// Metrics holds the runner's own metrics.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	firstByte  *prometheus.HistogramVec
	rejections *prometheus.CounterVec
	limited    prometheus.Counter
}

// New makes the metrics of one runner; inFlight is asked at each scrape.
func New(who Identity, timeline *phase.Timeline, inFlight func() int) *Metrics {
	buckets := []float64{0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kaito_requests_total", Help: "Requests that were answered, by path and HTTP status; 499 is a client that went away.",
		}, []string{"path", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kaito_request_duration_seconds", Help: "Time from a request's headers to the last byte of its answer.", Buckets: buckets,
		}, []string{"path"}),
		firstByte: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kaito_first_byte_seconds", Help: "Time from a request's headers to the first byte of its answer.", Buckets: buckets,
		}, []string{"path"}),
		rejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kaito_rejections_total", Help: "Requests that were refused before they reached the engine, by reason.",
		}, []string{"reason"}),
		limited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kaito_ratelimit_rejected_total", Help: "Requests that were answered 429, under the name that the reference uses.",
		}),
	}
	for _, r := range []Reason{Overload, NotReady, Stopping} {
		m.rejections.WithLabelValues(string(r))
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kaito_runner_info", Help: "What this pod serves; always 1.",
		ConstLabels: prometheus.Labels{
			"workspace": who.Workspace, "model": who.Model, "engine": who.Engine, "version": who.Version,
		},
	})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.seconds, m.firstByte, m.rejections, m.limited, info,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kaito_requests_in_flight", Help: "Requests at the engine now, waiting ones included.",
		}, func() float64 { return float64(inFlight()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kaito_ready", Help: "1 while GET /health answers 200.",
		}, func() float64 {
			if timeline.Current() == phase.Ready {
				return 1
			}
			return 0
		}),
		&startUp{timeline: timeline, desc: prometheus.NewDesc("kaito_startup_phase_seconds",
			"Time that each phase of the start took; phase total is all of it.", []string{"phase"}, nil)},
	)
	return m
}

// Weights adds the progress of a fetch, which is asked at each scrape.
func (m *Metrics) Weights(progress func() (done, total int64)) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kaito_weights_bytes_fetched", Help: "Bytes of the weights that are there.",
		}, func() float64 {
			done, _ := progress()
			return float64(done)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kaito_weights_bytes", Help: "Bytes of the weights in all; 0 until that is known.",
		}, func() float64 {
			_, total := progress()
			return float64(total)
		}),
	)
}

// Rejected counts a request that was refused before it reached the engine.
func (m *Metrics) Rejected(why Reason) {
	m.rejections.WithLabelValues(string(why)).Inc()
	if why == Overload {
		m.limited.Inc()
	}
}

// Answered counts an answer; firstByte is negative where none was sent.
func (m *Metrics) Answered(path string, code int, firstByte, total float64) {
	p := label(path)
	m.requests.WithLabelValues(p, strconv.Itoa(code)).Inc()
	if code != http.StatusOK {
		return
	}
	m.seconds.WithLabelValues(p).Observe(total)
	if firstByte >= 0 {
		m.firstByte.WithLabelValues(p).Observe(firstByte)
	}
}

// label keeps the number of series bounded, whatever paths clients ask for.
func label(path string) string {
	switch path {
	case "/chat", "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses",
		"/v1/messages", "/v1/messages/count_tokens", "/v1/rerank", "/v1/score", "/v1/models",
		"/v1/audio/transcriptions", "/v1/audio/translations":
		return path
	}
	if strings.HasPrefix(path, "/v1/") {
		return "/v1/other"
	}
	return "other"
}

// startUp shows the timeline.
type startUp struct {
	timeline *phase.Timeline
	desc     *prometheus.Desc
}

// Describe tells Prometheus' registry the one family.
func (s *startUp) Describe(out chan<- *prometheus.Desc) { out <- s.desc }

// Collect tells the seconds of each phase that was reached.
func (s *startUp) Collect(out chan<- prometheus.Metric) {
	parts, total := s.timeline.Seconds()
	for p, seconds := range parts {
		out <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, seconds, string(p))
	}
	out <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, total, "total")
}
