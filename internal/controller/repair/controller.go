// Package repair replaces machines that were good once and are no more: a node that is not
// Ready, GPUs that are gone or faulty, a node that left the cluster, a machine that the cloud
// took back. It acts on claims that were Initialized; before that the claim's own controller
// has its deadlines. A machine is rebooted once, if the provider can; otherwise its claim is
// deleted, and whoever made the claim (the Workspace's controller) makes another.
package repair

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// Problem is a condition of a node that says that it is faulty.
type Problem struct {
	Type   corev1.NodeConditionType
	Status corev1.ConditionStatus
}

// Options say how long faults are borne, and how much is repaired at once. Times are measured
// from when this process first saw the fault: a clock that jumps shortens none of them.
type Options struct {
	// NotReady is for a node that is not Ready, Gone for one that left the cluster while its
	// machine is there, Faulty for problems and missing GPUs.
	NotReady, Gone, Faulty time.Duration
	// Problems are the conditions that make a node faulty.
	Problems []Problem
	// Reboot is how long a reboot may take to help.
	Reboot time.Duration
	// Drain is how long pods of a faulty node that still runs may take to go.
	Drain time.Duration
	// Percent of the claims of an instance type, and at least one, may be under repair at once.
	Percent int
	// Hourly is how many machines of one Workspace may be replaced within an hour.
	Hourly int
}

// Defaults are the usual options. The problems are those of AKS's and EKS's node agents.
func Defaults() Options {
	const patience = 10 * time.Minute
	return Options{
		NotReady: patience, Gone: patience / 2, Faulty: patience, Reboot: patience, Drain: patience, Percent: 20, Hourly: 3,
		Problems: []Problem{
			{"GPUMissing", corev1.ConditionTrue},
			{"NVLinkStatusInactive", corev1.ConditionTrue},
			{"XIDErrors", corev1.ConditionTrue},
			{"IBLinkFlapping", corev1.ConditionTrue},
			{"UnhealthyNvidiaDevicePlugin", corev1.ConditionTrue},
			{"UnhealthyNvidiaDCGMServices", corev1.ConditionTrue},
			{"AcceleratedHardwareReady", corev1.ConditionFalse},
			{"kubernetes.azure.com/NodeHealthy", corev1.ConditionFalse},
		},
	}
}

// Meter counts repairs.
type Meter interface {
	// Repaired takes what was done (reboot, replace, hold) and the fault.
	Repaired(what, fault string)
}

// Inputs are what a Reconciler works with.
type Inputs struct {
	// Client reads from the manager's cache and writes.
	Client   client.Client
	Provider node.Provider
	// Cluster is the id of the cluster.
	Cluster  string
	Clock    clock.PassiveClock
	Recorder events.EventRecorder
	Meter    Meter
	Options  Options
}

// Reconciler looks at claims whose machines were good once.
type Reconciler struct {
	in    Inputs
	mind  *mind
	books *ledger
}

// New makes a Reconciler.
func New(in Inputs) *Reconciler {
	return &Reconciler{in: in, mind: newMind(in.Clock), books: newLedger(in.Clock)}
}

// SetupWith registers the controller. One pass runs at a time: each counts what the one
// before it has repaired.
func (r *Reconciler) SetupWith(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).
		Named("repair").
		For(&nodeclaim.NodeClaim{}).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(claimsOf), builder.WithPredicates(news())).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the repair of machines: %w", err)
	}
	return nil
}

// Reconcile looks at one claim.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	claim := &nodeclaim.NodeClaim{}
	err := r.in.Client.Get(ctx, req.NamespacedName, claim)
	switch {
	case apierrors.IsNotFound(err):
		r.mind.forget(req.Name)
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("read NodeClaim %q: %w", req.Name, err)
	case !concerns(claim):
		r.mind.forget(req.Name)
		return reconcile.Result{}, nil
	}
	again, err := r.pass(ctx, claim)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return reconcile.Result{RequeueAfter: time.Second}, nil // a newer one is on its way
	}
	return reconcile.Result{RequeueAfter: again}, err
}

// pass looks, decides and acts; it says when to look again, 0 is when something changes.
func (r *Reconciler) pass(ctx context.Context, claim *nodeclaim.NodeClaim) (time.Duration, error) {
	have, err := r.node(ctx, claim.Status.NodeName)
	if err != nil {
		return 0, err
	}
	fault, ill := examine(claim, have, r.in.Options)
	if !ill {
		r.mind.forget(claim.Name)
		return 0, nil
	}
	c := r.mind.of(claim)
	r.look(ctx, claim, c)
	d := decide(claim, have, fault, *c, r.in.Clock.Now(), r.in.Options)
	if d.do != doReplace && d.do != doReboot {
		return r.act(ctx, claim, c, d)
	}
	var all nodeclaim.NodeClaimList
	if err := r.in.Client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return 0, fmt.Errorf("list the NodeClaims: %w", err)
	}
	if why := r.books.brake(claim, all.Items, r.mind.rebooting(r.in.Options.Reboot), r.in.Options); why != "" {
		d.do, d.why, d.again = doHold, why, lookEvery
	}
	return r.act(ctx, claim, c, d)
}

// node is the node of that name, or nil where it is gone.
func (r *Reconciler) node(ctx context.Context, name string) (*corev1.Node, error) {
	have := &corev1.Node{}
	err := r.in.Client.Get(ctx, types.NamespacedName{Name: name}, have)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // a node that is gone is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("read node %q: %w", name, err)
	}
	return have, nil
}

// look asks the cloud about the machine of a faulty node, at most every lookEvery.
func (r *Reconciler) look(ctx context.Context, claim *nodeclaim.NodeClaim, c *chart) {
	if !c.looked.IsZero() && r.in.Clock.Since(c.looked) < lookEvery {
		return
	}
	c.looked = r.in.Clock.Now()
	m, err := r.in.Provider.Observe(ctx, key(r.in.Cluster, claim), claim.Annotations[nodeclaim.AnnotationToken])
	var failure *node.Error
	switch {
	case errors.As(err, &failure):
		c.silent = failure.Error()
		return
	case err != nil:
		c.silent = err.Error()
		return
	}
	c.silent = ""
	// Failed is no sign: a machine that runs may be called so after some later operation of the cloud.
	if m.State == node.Absent || m.State == node.Deleting {
		c.lost++
	} else {
		c.lost = 0
	}
}

// concerns says whose claims are looked at: ours, that were good once and are not on their way out.
func concerns(claim *nodeclaim.NodeClaim) bool {
	return nodeclaim.Ours(claim) && claim.DeletionTimestamp.IsZero() && claim.Status.NodeName != "" && claim.StatusConditions().IsTrue(nodeclaim.ConditionInitialized)
}

func key(cluster string, claim *nodeclaim.NodeClaim) node.Key {
	return node.KeyOf(cluster, string(claim.UID))
}

// claimsOf finds the claims of a node, also of one that is gone.
func claimsOf(_ context.Context, o client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, owner := range o.GetOwnerReferences() {
		if owner.Kind == "NodeClaim" {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Name: owner.Name}})
		}
	}
	return requests
}

// news leaves out heartbeats.
func news() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, is := e.ObjectOld.(*corev1.Node), e.ObjectNew.(*corev1.Node)
		if len(was.Status.Conditions) != len(is.Status.Conditions) || len(was.Status.Allocatable) != len(is.Status.Allocatable) {
			return true
		}
		for _, c := range is.Status.Conditions {
			if status(was, c.Type).Status != c.Status {
				return true
			}
		}
		for name, amount := range is.Status.Allocatable {
			if before := was.Status.Allocatable[name]; before.Cmp(amount) != 0 {
				return true
			}
		}
		return false
	}}
}
