package metrics

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// patience is how long the engine may take over its metrics; a scrape must not hang with it.
const patience = 3 * time.Second

// Page is GET /metrics: the runner's families and the engine's.
type Page struct {
	// Own are the runner's metrics.
	Own *Metrics
	// Engine gives the engine's page in the text format; an error leaves it out.
	Engine func(context.Context) ([]byte, error)
	// Log tells when the engine's page could not be had.
	Log *slog.Logger
}

// ServeHTTP writes all families, sorted by name, in the format that the client prefers.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	families, err := p.Own.registry.Gather()
	if err != nil {
		p.Log.Error("metrics could not be gathered", "err", err)
		http.Error(w, "metrics could not be gathered; the pod's log says why", http.StatusInternalServerError)
		return
	}
	all := map[string]*dto.MetricFamily{}
	up := 1.0
	if err := p.addEngine(r.Context(), all); err != nil {
		p.Log.Debug("the engine's metrics are left out", "err", err)
		clear(all)
		up = 0
	}
	for _, f := range append(families, gauge("kaito_engine_metrics_up", "1 where this page holds the engine's metrics too.", up)) {
		all[f.GetName()] = f
	}
	format := expfmt.NegotiateAccept(r.Header, expfmt.NewFormat(expfmt.TypeProtoDelim), expfmt.NewFormat(expfmt.TypeTextPlain))
	var page bytes.Buffer
	enc := expfmt.NewEncoder(&page, format)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := enc.Encode(all[name]); err != nil {
			p.Log.Warn("a metric is left out", "name", name, "err", err)
		}
	}
	w.Header().Set("Content-Type", string(format))
	_, _ = w.Write(page.Bytes()) // the client may have gone
}

// addEngine reads the engine's families into all.
func (p *Page) addEngine(ctx context.Context, all map[string]*dto.MetricFamily) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := p.Engine(ctx)
	if err != nil {
		return err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return err
	}
	maps.Copy(all, families)
	return nil
}

func gauge(name, help string, value float64) *dto.MetricFamily {
	return &dto.MetricFamily{
		Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}},
	}
}
