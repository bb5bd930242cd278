package nodeclaim

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/internal/node"
)

// Meter takes what is worth a graph.
type Meter interface {
	// Called takes one call to the provider and its class of error, empty where there was none.
	Called(call string, class node.Class)
	// Launched takes the end of an attempt: "" where there is a machine, otherwise why not.
	Launched(o node.Offer, class string)
	// Took takes how long a claim was in a phase: launch, registration, initialization.
	Took(phase string, long time.Duration)
}

type nobody struct{}

func (nobody) Called(string, node.Class)   {}
func (nobody) Launched(node.Offer, string) {}
func (nobody) Took(string, time.Duration)  {}

// Instruments are the metrics of a Reconciler, for one registry.
type Instruments struct {
	launches *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	calls    *prometheus.CounterVec
}

// NewInstruments makes the metrics of a provider of that name.
func NewInstruments(provider string) *Instruments {
	labels := prometheus.Labels{"provider": provider}
	return &Instruments{
		launches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kaito_nodeclaim_launches_total", ConstLabels: labels,
			Help: "Attempts to get a machine, by what came of them: Ready, or why there is none.",
		}, []string{"instance_type", "capacity_type", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kaito_nodeclaim_phase_seconds", ConstLabels: labels,
			Help:    "How long NodeClaims took to be launched, to be registered after that, and to be initialized after that.",
			Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600},
		}, []string{"phase"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kaito_cloud_calls_total", ConstLabels: labels,
			Help: "Calls to the provider, by what it answered: ok, or the class of the error.",
		}, []string{"call", "result"}),
	}
}

// Describe names what Collect gives.
func (i *Instruments) Describe(to chan<- *prometheus.Desc) {
	i.launches.Describe(to)
	i.seconds.Describe(to)
	i.calls.Describe(to)
}

// Collect gives the figures.
func (i *Instruments) Collect(to chan<- prometheus.Metric) {
	i.launches.Collect(to)
	i.seconds.Collect(to)
	i.calls.Collect(to)
}

// Called counts a call.
func (i *Instruments) Called(call string, class node.Class) {
	if class == "" {
		class = "ok"
	}
	i.calls.WithLabelValues(call, string(class)).Inc()
}

// Launched counts an attempt.
func (i *Instruments) Launched(o node.Offer, result string) {
	if result == "" {
		result = "Ready"
	}
	i.launches.WithLabelValues(o.InstanceType, o.CapacityType, result).Inc()
}

// Took takes a time.
func (i *Instruments) Took(phase string, long time.Duration) {
	i.seconds.WithLabelValues(phase).Observe(long.Seconds())
}

// measure counts what a decision has ended.
func (r *Reconciler) measure(o observed, d decision) {
	if !d.book.open() {
		return
	}
	offer := d.book.attempt.Offer
	switch {
	case o.book.attempt.Ended == "" && d.book.attempt.Ended == refused:
		r.o.Meter.Launched(offer, string(d.book.history.Tries[len(d.book.history.Tries)-1].Class))
		return
	case o.book.attempt.Ended == "" && d.book.attempt.Ended == overdue:
		r.o.Meter.Launched(offer, d.book.history.Missed.Reason)
		return
	}
	launched := d.launched.Status == metav1.ConditionTrue
	if o.phase == phaseLaunch && launched {
		r.o.Meter.Launched(offer, "")
	}
	long := o.spent
	for _, p := range []struct {
		phase phase
		now   metav1.ConditionStatus
	}{
		{phaseLaunch, d.launched.Status}, {phaseRegistration, d.registered.Status}, {phaseInitialization, d.initialized.Status},
	} {
		if p.now != metav1.ConditionTrue || before(p.phase, o.phase) {
			continue
		}
		r.o.Meter.Took(string(p.phase), long)
		long = 0 // what follows at once took no time
	}
}

// before says whether a phase comes before another.
func before(a, b phase) bool {
	order := map[phase]int{phaseLaunch: 1, phaseRegistration: 2, phaseInitialization: 3, phaseReady: 4}
	return order[a] < order[b]
}
