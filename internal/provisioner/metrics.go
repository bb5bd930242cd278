package provisioner

import (
	"net/http"
	"runtime"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"kaito.sh/kaito/internal/buildinfo"
	claims "kaito.sh/kaito/internal/controller/nodeclaim"
)

// instruments are the provisioner's own metrics. They have a registry of their own: the
// library's is one a process, and tests run two provisioners in one.
type instruments struct {
	registry *prometheus.Registry
	claims   *claims.Instruments
	orphans  prometheus.Gauge
	held     *prometheus.GaugeVec
	removed  *prometheus.CounterVec
	repairs  *prometheus.CounterVec
}

func newInstruments(provider string) *instruments {
	i := &instruments{
		registry: prometheus.NewPedanticRegistry(),
		claims:   claims.NewInstruments(provider),
		orphans:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "kaito_orphans", Help: "Machines without a NodeClaim in the newest sweep."}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kaito_orphans_held", Help: "Those of them that the newest sweep left alone, by the cause.",
		}, []string{"cause"}),
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kaito_orphans_removed_total", Help: "Removals of machines without a NodeClaim, by whether the cloud took them: accepted, refused.",
		}, []string{"result"}),
		repairs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kaito_repairs_total", Help: "What was done about machines that went bad (reboot, replace, hold), by the fault.",
		}, []string{"action", "fault"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kaito_provisioner_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": buildinfo.Version(), "goversion": runtime.Version(), "provider": provider},
	})
	build.Set(1)
	i.registry.MustRegister(i.claims, i.orphans, i.held, i.removed, i.repairs, build)
	return i
}

// OrphansSeen takes what a sweep saw.
func (i *instruments) OrphansSeen(found int, held map[string]int) {
	i.orphans.Set(float64(found))
	for cause, n := range held {
		i.held.WithLabelValues(cause).Set(float64(n))
	}
}

// OrphanRemoved counts a removal that was asked for.
func (i *instruments) OrphanRemoved(failed bool) {
	result := "accepted"
	if failed {
		result = "refused"
	}
	i.removed.WithLabelValues(result).Inc()
}

// Repaired counts what was done about a fault.
func (i *instruments) Repaired(what, fault string) { i.repairs.WithLabelValues(what, fault).Inc() }

// filter adds our registry to the library's page.
func (i *instruments) filter(_ *rest.Config, _ *http.Client) (metricsserver.Filter, error) {
	return func(log logr.Logger, _ http.Handler) (http.Handler, error) {
		both := prometheus.Gatherers{metrics.Registry, i.registry}
		return promhttp.HandlerFor(both, promhttp.HandlerOpts{ErrorLog: complaints{log}, ErrorHandling: promhttp.ContinueOnError}), nil
	}, nil
}

// complaints logs what cannot be gathered.
type complaints struct{ logr.Logger }

// Println is what the page's handler calls.
func (c complaints) Println(v ...any) { c.Info("metrics are incomplete", "why", v) }
