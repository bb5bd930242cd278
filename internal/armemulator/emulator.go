// Package armemulator speaks Azure Resource Manager's protocol for the agent pools of one
// managed cluster, and that of Microsoft Entra for workload identity, so that the official
// clients run against it unmodified: in tests with machines in memory, on a laptop with
// machines that are real kubelets. What it refuses it refuses in Azure's words.
package armemulator

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/instance"
)

// APIVersions are those that the emulated provider serves; the first is that of the
// client which the provisioner uses.
func APIVersions() []string { return []string{"2025-02-01"} }

// Options say what is emulated. Subscription, Group, Cluster and Region must be given.
type Options struct {
	Subscription, Group, Cluster, Region string
	// Zones are the availability zones of the region, 1, 2 and 3 when nil.
	Zones []string
	// KubernetesVersion is what new pools say they run.
	KubernetesVersion string
	// Machines makes them; in memory when nil.
	Machines Machines
	// Clock is the cloud's own; the real one when nil.
	Clock clock.Clock
	// Log takes one line a call; none when nil.
	Log *slog.Logger
	// Pace is how long an operation takes at least, by Clock.
	Pace time.Duration
	// RetryAfter is how long a client is told to wait between polls; not said when 0.
	RetryAfter time.Duration
	// PageSize is how many pools a page of a list has (50 when 0), MaxPools how many a
	// cluster may have (100 when 0).
	PageSize, MaxPools int
	// Quotas are in virtual CPUs.
	Quotas Quotas
	// Sizes are offered besides Azure's of package instance.
	Sizes []Size
	// NotInRegion are sizes that exist and are not sold in this region.
	NotInRegion []string
	// Tokens issues and checks access tokens; any bearer token is let in when nil.
	Tokens *Tokens
	// Store keeps the state over a restart; nothing is kept when nil.
	Store Store
}

// Emulator is one managed cluster's view of Azure.
type Emulator struct {
	o        Options
	messages map[string]Message
	sizes    map[string]Size
	digits   string

	// changes lets one change of the cloud's state run at a time, its effects on machines
	// included. It is taken before mu, and never by a machine's callback.
	changes sync.Mutex
	// mu guards all below.
	mu    sync.Mutex
	state state
	// faults are those still to come, in order.
	faults []*pendingFault
}

// New makes an emulator, with the state that its store holds. Operations that were under
// way when that was written go on.
func New(o Options) (*Emulator, error) {
	if o.Subscription == "" || o.Group == "" || o.Cluster == "" || o.Region == "" {
		return nil, fmt.Errorf("subscription %q, group %q, cluster %q and region %q: none may be empty", o.Subscription, o.Group, o.Cluster, o.Region)
	}
	o = o.withDefaults()
	messages, err := Messages()
	if err != nil {
		return nil, err
	}
	table, err := instance.Load()
	if err != nil {
		return nil, err
	}
	e := &Emulator{o: o, messages: messages, sizes: knownSizes(table, o.Sizes), digits: digits(o)}
	e.state = newState(o.Quotas)
	if err := e.load(); err != nil {
		return nil, err
	}
	e.resume()
	return e, nil
}

func (o Options) withDefaults() Options {
	if o.Zones == nil {
		o.Zones = []string{"1", "2", "3"}
	}
	if o.KubernetesVersion == "" {
		o.KubernetesVersion = "1.33.2"
	}
	if o.Machines == nil {
		o.Machines = NewMemory()
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.PageSize == 0 {
		o.PageSize = 50
	}
	if o.MaxPools == 0 {
		o.MaxPools = 100
	}
	return o
}

// Handler answers everything: Resource Manager's calls, and Entra's where there are Tokens.
func (e *Emulator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", http.HandlerFunc(e.serve))
	if e.o.Tokens != nil {
		e.o.Tokens.register(mux, e)
	}
	return mux
}
