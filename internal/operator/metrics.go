package operator

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/buildinfo"
)

// scrapePatience is how long a scrape waits for the cache.
const scrapePatience = 5 * time.Second

// instruments are the operator's own metrics. They have a registry of their own: the
// library's is one a process, and tests run two operators in one.
type instruments struct {
	registry *prometheus.Registry
	startup  *prometheus.HistogramVec
	// asked and released count nodes, by instance type.
	asked, released *prometheus.CounterVec
	// workspaces reads the cache; it is set once there is one, and elected says who counts.
	workspaces client.Reader
	elected    <-chan struct{}
	states     *prometheus.Desc
	tunings    tuningDescs
}

func newInstruments() *instruments {
	i := &instruments{
		registry: prometheus.NewPedanticRegistry(),
		startup: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kaito_workspace_startup_seconds",
			Help: "How long the phases of starts took: node, image, load, and first_answer from the creation of the Workspace.",
			// From a pod on a warm node to hundreds of gigabytes on a cold one.
			Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600},
		}, []string{"phase"}),
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kaito_nodeclaims_created_total", Help: "NodeClaims that were made for Workspaces.",
		}, []string{"instance_type"}),
		released: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kaito_nodeclaims_deleted_total", Help: "NodeClaims that were given back.",
		}, []string{"instance_type"}),
		states:  prometheus.NewDesc("kaito_workspaces", "Workspaces by state, as the leader sees them.", []string{"state"}, nil),
		tunings: newTuningDescs(),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kaito_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": buildinfo.Version(), "goversion": runtime.Version()},
	})
	build.Set(1)
	i.registry.MustRegister(i, i.startup, i.asked, i.released, build)
	return i
}

// Started takes the phases of a start.
func (i *instruments) Started(s v1beta1.StartupStatus) {
	for phase, seconds := range map[string]*int32{
		"node": s.NodeSeconds, "image": s.ImageSeconds, "load": s.LoadSeconds, "first_answer": s.FirstAnswerSeconds,
	} {
		if seconds != nil {
			i.startup.WithLabelValues(phase).Observe(float64(*seconds))
		}
	}
}

// Asked counts a node that was asked for.
func (i *instruments) Asked(instanceType string) { i.asked.WithLabelValues(instanceType).Inc() }

// Released counts a node that was given back.
func (i *instruments) Released(instanceType string) { i.released.WithLabelValues(instanceType).Inc() }

// Describe names what Collect makes.
func (i *instruments) Describe(to chan<- *prometheus.Desc) {
	to <- i.states
	i.tunings.describe(to)
}

// Collect counts the Workspaces of the cache; a replica that waits for its turn counts none.
func (i *instruments) Collect(to chan<- prometheus.Metric) {
	select {
	case <-i.elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience) //nolint:forbidigo // a Collector gets no context
	defer cancel()
	var list v1beta1.WorkspaceList
	if err := i.workspaces.List(ctx, &list, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		to <- prometheus.NewInvalidMetric(i.states, err)
		return
	}
	counts := map[v1beta1.WorkspaceState]int{
		v1beta1.StatePending: 0, v1beta1.StateRunning: 0, v1beta1.StateReady: 0,
		v1beta1.StateNotReady: 0, v1beta1.StateSucceeded: 0, v1beta1.StateFailed: 0,
	}
	for w := range list.Items {
		state := list.Items[w].Status.State
		if state == "" {
			state = v1beta1.StatePending // not looked at yet
		}
		counts[state]++
		i.tunings.collect(&list.Items[w], to)
	}
	for state, n := range counts {
		to <- prometheus.MustNewConstMetric(i.states, prometheus.GaugeValue, float64(n), string(state))
	}
}

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
