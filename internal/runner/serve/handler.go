package serve

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"

	"kaito.sh/kaito/internal/runner/chat"
	"kaito.sh/kaito/internal/runner/engine"
	"kaito.sh/kaito/internal/runner/gate"
	"kaito.sh/kaito/internal/runner/intake"
	"kaito.sh/kaito/internal/runner/metrics"
	"kaito.sh/kaito/internal/runner/phase"
	"kaito.sh/kaito/internal/runner/proxy"
	"kaito.sh/kaito/internal/runner/refusal"
)

// engineModel is what the engine calls the model.
func (s *server) engineModel() string {
	if m := s.Contract.Engine.Model; m != "" {
		return m
	}
	return s.Contract.Model.ID
}

// names are those under which model and adapters answer, with what the engine is asked for.
func (s *server) names() proxy.Names {
	c := s.Contract
	names := proxy.Names{ID: c.Model.ID, Aliases: c.Model.Aliases, Engine: engine.Base(c.Engine.Name, s.engineModel(), len(c.Adapters))}
	for i, a := range c.Adapters {
		names.Adapters = append(names.Adapters, proxy.Adapter{
			Name: a.Name, Default: a.Default, Target: engine.Adapter(c.Engine.Name, a.Name, i, a.Scale()),
		})
	}
	return names
}

// build makes the parts that answer requests.
func (s *server) build(base *url.URL) {
	c := s.Contract
	transport := engine.Transport(c.Limits.MaxInFlight)
	s.timeline = phase.New(s.Now, s.Started)
	s.gate = gate.New(c.Limits.MaxInFlight)
	names := s.names()
	s.engine = engine.New(c.Engine.Name, names.Target(), base, transport)
	who := metrics.Identity{Workspace: c.Workspace, Model: c.Model.ID, Engine: c.Engine.Name, Version: s.Version}
	s.metrics = metrics.New(who, s.timeline, s.gate.InFlight)
	if s.Fetch != nil {
		s.metrics.Weights(func() (int64, int64) { return s.fetched.done.Load(), s.fetched.total.Load() })
	}

	body := intake.New(c.Limits.MaxBodyBytes, s.Now)
	legacy := &chat.Handler{Model: s.engine, Engine: c.Engine.Name, Context: c.Model.Context, Body: body, Log: s.Log}
	openai := proxy.New(base, names, body, transport, s.Log)
	models := &proxy.Models{Names: names, Context: c.Model.Context, Created: s.Started.Unix()}
	in := &door{gate: s.gate, limit: c.Limits.MaxInFlight, timeline: s.timeline, metrics: s.metrics}

	mux := http.NewServeMux()
	mux.HandleFunc("/health", s.health)
	mux.HandleFunc("/healthz", s.health) // the first releases of the reference
	mux.HandleFunc("/ready", s.ready)
	mux.HandleFunc("/", root)
	s.handler = mux
	if s.follows() {
		mux.Handle("/metrics", &metrics.Page{Own: s.metrics, Engine: noMetrics, Log: s.Log})
		mux.HandleFunc("/chat", func(w http.ResponseWriter, _ *http.Request) { refusal.Detail(w, refusal.Follower()) })
		mux.HandleFunc("/v1/", func(w http.ResponseWriter, _ *http.Request) { refusal.OpenAI(w, refusal.Follower()) })
		return
	}
	mux.Handle("/chat", s.counted(in.admit(refusal.Detail, legacy)))
	mux.Handle("/v1/", s.counted(in.admit(refusal.OpenAI, openai)))
	mux.Handle("/v1/models", s.counted(in.ready(refusal.OpenAI, models)))
	mux.Handle("/v1/models/", s.counted(in.ready(refusal.OpenAI, models)))
	mux.Handle("/metrics", &metrics.Page{Own: s.metrics, Engine: s.engine.Metrics, Log: s.Log})
}

// root answers GET / as the reference does, and everything else with 404.
func root(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		refusal.Detail(w, refusal.NotFound())
		return
	}
	answer(w, http.StatusOK, map[string]string{"message": "Server is running"})
}

// status is the body of GET /health and GET /ready.
type status struct {
	// Status is ok, loading, unhealthy, draining, or follower of a pod that only computes.
	Status string `json:"status"`
	// Phase is the phase now.
	Phase phase.Phase `json:"phase"`
	// Model is the served model id.
	Model string `json:"model"`
	// StartUp is the seconds of each start-up phase so far, and their sum.
	StartUp map[phase.Phase]float64 `json:"startup"`
	// InFlight is how many requests are at the engine.
	InFlight int `json:"inFlight"`
	// BytesDone and BytesTotal are how much of the weights is there; absent where they are mounted.
	BytesDone  *int64 `json:"bytesDone,omitempty"`
	BytesTotal *int64 `json:"bytesTotal,omitempty"`
}

// health answers 200 only when the engine can answer. A follower's never does, and nobody
// sends it requests: it is well while it takes part in its group, and the leader tells
// whether that answers.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	now := s.timeline.Current()
	s.tell(w, r, now, now == phase.Ready || s.follows() && now != phase.Draining)
}

// ready answers 200 while requests may come: when the engine can answer, and also while
// a pod that has served drains. A terminating pod is an endpoint only where no other is
// left; with a failing probe the client would find nobody, with this one it gets an
// answer within the grace and a 503 that says why after it. A follower is ready from the
// beginning: pods of a StatefulSet are replaced one after another, each when the one before
// is ready, and a group whose contract has changed becomes ready only when all are replaced.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	now := s.timeline.Current()
	s.tell(w, r, now, now == phase.Ready || s.follows() || (now == phase.Draining && s.timeline.Served()))
}

// tell answers with the phase now and how the pod came there.
func (s *server) tell(w http.ResponseWriter, r *http.Request, now phase.Phase, good bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refusal.Detail(w, refusal.Method(http.MethodGet))
		return
	}
	parts, total := s.timeline.Seconds()
	parts["total"] = total
	for p, seconds := range parts {
		parts[p] = math.Round(seconds*1000) / 1000 // milliseconds are as exact as it gets
	}
	out := status{Status: "loading", Phase: now, Model: s.Contract.Model.ID, StartUp: parts, InFlight: s.gate.InFlight()}
	out.BytesDone, out.BytesTotal = s.fetched.bytes(s.Fetch != nil)
	switch {
	case now == phase.Draining || now == phase.Unhealthy:
		out.Status = string(now)
	case s.follows():
		out.Status = "follower"
	case now == phase.Ready:
		out.Status = "ok"
	}
	code := http.StatusServiceUnavailable
	if good {
		code = http.StatusOK
	}
	answer(w, code, out)
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
