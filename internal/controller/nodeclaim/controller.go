// Package nodeclaim lives the life of NodeClaims: it asks a provider for the machine of
// each, sees its node join and become whole, and takes all of it away again. A pass looks
// once (observe.go), chooses without side effects (decide.go and the files beside it),
// does it (act.go) and reports once, when something changed. A pass never waits: it comes again.
//
// What keeps the cloud's bill right: a claim's key is always the same, so a claim never has
// two machines; every request for a machine is preceded, in the same pass, by a write to the
// claim that fails if anybody else has written it; and the finalizer goes when the provider
// has said that there is nothing of that key, and no sooner.
package nodeclaim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// Options are what a Reconciler is made of.
type Options struct {
	// Client reads from the manager's cache and writes.
	Client client.Client
	// Reader reads from the API server.
	Reader client.Reader
	// Provider makes machines, ProviderName is what metrics call it.
	Provider     node.Provider
	ProviderName string
	// Clock dates conditions and measures deadlines.
	Clock clock.PassiveClock
	// Cluster is the id of the cluster (the UID of its namespace kube-system).
	Cluster string
	// Deadlines end what takes too long; DefaultDeadlines are usual.
	Deadlines Deadlines
	// Limits stand between claims and the bill; the zero value has none.
	Limits Limits
	// Recorder takes events.
	Recorder events.EventRecorder
	// Meter counts, nil is nobody.
	Meter Meter
	// Seed spreads repetitions in time.
	Seed uint64
	// Workers are the passes at once, 0 is a usual number.
	Workers int
}

// Deadlines end what takes too long.
type Deadlines struct {
	// Launch is from the request to a machine that is ready, Registration from there to a
	// node that has joined, Initialization from there to a node that is whole.
	Launch, Registration, Initialization time.Duration
	// Drain is from the deletion of a claim until its machine is removed under a node that is still there.
	Drain time.Duration
	// Replacements is how often a machine that missed a deadline is made again.
	Replacements int
}

// DefaultDeadlines are the usual ones.
func DefaultDeadlines() Deadlines {
	return Deadlines{
		Launch: 30 * time.Minute, Registration: 15 * time.Minute, Initialization: 20 * time.Minute,
		Drain: time.Hour, Replacements: 3,
	}
}

// usualWorkers wait mostly for the API server and the cloud.
const usualWorkers = 32

// Reconciler serves NodeClaims.
type Reconciler struct {
	o     Options
	cloud *cloud
	mind  *mind
	books *ledger
}

// New makes a Reconciler.
func New(o Options) *Reconciler {
	if o.Meter == nil {
		o.Meter = nobody{}
	}
	if o.Workers == 0 {
		o.Workers = usualWorkers
	}
	return &Reconciler{
		o: o, cloud: &cloud{provider: o.Provider, clock: o.Clock, meter: o.Meter},
		mind: newMind(o.Clock, jitter(o.Seed)), books: &ledger{},
	}
}

// jitter gives factors between 0.8 and 1.2.
func jitter(seed uint64) func() float64 {
	const least, width = 0.8, 0.4
	var mu sync.Mutex
	chance := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // it spreads repetitions, and repeats in tests
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return least + width*chance.Float64()
	}
}

// Reconcile makes one pass over one claim.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	claim := &nodeclaim.NodeClaim{}
	if err := r.o.Client.Get(ctx, req.NamespacedName, claim); err != nil {
		if apierrors.IsNotFound(err) {
			r.mind.forget(req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !nodeclaim.Ours(claim) {
		return ctrl.Result{}, nil
	}
	after, err := r.pass(ctx, claim)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: afterConflict}, nil // what we saw is old; a newer one is on its way
	case apierrors.IsNotFound(err):
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: after}, err
}

// pass does the next step of a claim's life and says when to come again.
func (r *Reconciler) pass(ctx context.Context, claim *nodeclaim.NodeClaim) (time.Duration, error) {
	o, err := r.observe(ctx, claim)
	if err != nil {
		return 0, err
	}
	switch next(o) {
	case stepNone:
		return 0, nil
	case stepProtect:
		return r.protect(ctx, o)
	case stepRest:
		return r.rest(ctx, o)
	case stepLaunch:
		return r.launch(ctx, o)
	case stepFollow:
		return r.follow(ctx, o, r.look(ctx, o))
	case stepClear:
		return r.clear(ctx, o)
	case stepFinalize:
		return r.finalize(ctx, o)
	default:
		return 0, fmt.Errorf("NodeClaim %q: no such step", claim.Name)
	}
}

// logger names the claim.
func logger(ctx context.Context, claim *nodeclaim.NodeClaim) interface{ Info(string, ...any) } {
	return log.FromContext(ctx).WithValues("nodeclaim", claim.Name, "key", claim.Annotations[nodeclaim.AnnotationKey])
}
