// Package workspace reconciles Workspaces. A pass looks once (observe.go), chooses
// without side effects (decide.go and the steps beside it), writes children by
// server-side apply (act.go) and the status once, when it changed.
package workspace

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/kube"
	"kaito.sh/kaito/internal/nodeclaim"
)

const (
	// concurrent passes wait mostly for the API server, which is asked to be fair by its own means.
	concurrent = 16
	// atOnce makes the next pass over a Workspace.
	atOnce = time.Millisecond
	// claimAgain is how soon a NodeClaim that the API server has refused is tried again:
	// nobody tells when a policy changes.
	claimAgain = time.Minute
	// passLimit ends a pass that waits for a cache that is cut off from its server; it is tried again.
	passLimit = time.Minute
)

// Reconciler brings the cluster to what Workspaces ask for.
type Reconciler struct {
	planner Planner
	cached  client.Reader
	live    client.Reader
	writer  *kube.Writer
	claims  Claims
	nodes   *kube.Writer
	record  events.EventRecorder
	clock   clock.PassiveClock

	startups Startups
	tunings  Tunings
	models   Models
	meter    Meter
	echoes   *echoes
	catalogs *catalogs
}

// Inputs are what a Reconciler is made of.
type Inputs struct {
	// Planner decides.
	Planner Planner
	// Cached reads from the manager's cache, which holds only objects with our labels.
	Cached client.Reader
	// Live reads from the API server: whether a name is taken by somebody else.
	Live client.Reader
	// Writer writes.
	Writer *kube.Writer
	// Claims reads NodeClaims, and NodeWriter writes them: past the manager's cache, which
	// would begin to keep all of them.
	Claims     Claims
	NodeWriter *kube.Writer
	// Recorder takes events.
	Recorder events.EventRecorder
	// Clock dates conditions.
	Clock clock.PassiveClock
	// Startups asks pods how they started.
	Startups Startups
	// Tunings asks pods how far their training is.
	Tunings Tunings
	// Models says what models of the hub are.
	Models Models
	// Meter counts.
	Meter Meter
}

// Meter takes what is worth a graph.
type Meter interface {
	// Started takes the phases of a start, once its server answers.
	Started(v1beta1.StartupStatus)
	// Asked counts a node of a type that was asked for, Released one that was given back.
	Asked(instanceType string)
	Released(instanceType string)
}

// Claims reads the NodeClaims of Workspaces. In all its answers known is false where the
// cluster has no such kind.
type Claims interface {
	// Watch tells of each Workspace whose claims change, until ctx ends, and calls appeared
	// when there is more to know than before. It returns once what there is has been read.
	Watch(ctx context.Context, changed func(types.NamespacedName), appeared func()) error
	// Of are the claims of a Workspace as they were read; they are not to be changed.
	Of(ctx context.Context, workspace types.NamespacedName) (claims []nodeclaim.NodeClaim, known bool, err error)
	// Live are the same, asked of the API server.
	Live(ctx context.Context, workspace types.NamespacedName) (claims []nodeclaim.NodeClaim, known bool, err error)
}

// New makes a Reconciler.
func New(in Inputs) *Reconciler {
	return &Reconciler{
		planner: in.Planner, cached: in.Cached, live: in.Live, writer: in.Writer, claims: in.Claims, nodes: in.NodeWriter, record: in.Recorder, clock: in.Clock,
		startups: in.Startups, tunings: in.Tunings, models: in.Models, meter: in.Meter, echoes: &echoes{},
		catalogs: newCatalogs(in.Planner.Catalog, in.Planner.Sources.Namespace),
	}
}

// Reconcile makes one pass over one Workspace.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	o, err := r.observe(ctx, req.NamespacedName)
	switch {
	case apierrors.IsNotFound(err):
		r.tunings.Forget(req.NamespacedName)
		return ctrl.Result{}, r.sweep(ctx, req.NamespacedName)
	case err != nil:
		return ctrl.Result{}, err
	case !o.ws.DeletionTimestamp.IsZero():
		r.tunings.Forget(req.NamespacedName)
		return ctrl.Result{}, unlessNewer(r.letGo(ctx, o)) // children go with their owner
	}
	d := r.planner.decide(o)
	d, surplus, err := r.demandNodes(ctx, &o, d)
	if err != nil {
		return ctrl.Result{}, unlessNewer(err)
	}
	d, more, err := r.actTwice(ctx, &o, d)
	if err == nil && !more {
		err = r.releaseNodes(ctx, o, surplus)
	}
	switch {
	case more:
		return ctrl.Result{RequeueAfter: atOnce, Priority: new(goesOn)}, nil
	case errors.Is(err, errRefused):
		d.refusedByServer(o, err)
		err = nil
	case apierrors.IsInternalError(err): // no address left for a Service, a webhook that is down: told, and tried again
		d.refusedByServer(o, err)
	}
	r.askStartup(o, d)
	if o.ws.Tuning != nil {
		r.askProgress(o, d)
	}
	return ctrl.Result{RequeueAfter: d.again}, errors.Join(err, r.report(ctx, o.ws, d))
}

// unlessNewer passes an error on, unless a newer pass is on its way.
func unlessNewer(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// actTwice acts, and once more where the API server has what the cache has not.
func (r *Reconciler) actTwice(ctx context.Context, o *observed, d decision) (decision, bool, error) {
	more, err := r.act(ctx, *o, d)
	if !apierrors.IsAlreadyExists(err) {
		return d, more, err
	}
	if err := r.lookLive(ctx, o, d); err != nil {
		return d, false, err
	}
	d = r.planner.decide(*o)
	more, err = r.act(ctx, *o, d)
	return d, more, err
}

// SetupWith registers the controller and what it watches.
func (r *Reconciler) SetupWith(ctx context.Context, mgr ctrl.Manager) error {
	if err := index(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	build := ctrl.NewControllerManagedBy(mgr).For(&v1beta1.Workspace{}, builder.WithPredicates(r.echoes.news()))
	owner := handler.EnqueueRequestForOwner(mgr.GetScheme(), mgr.GetRESTMapper(), &v1beta1.Workspace{}, handler.OnlyControllerOwner())
	for _, kind := range Kinds() {
		build.Watches(kind, behind{owner}, builder.WithPredicates(childNews()))
	}
	err := build.
		Watches(&corev1.Pod{}, behind{handler.EnqueueRequestsFromMapFunc(byLabel)}, builder.WithPredicates(podNews())).
		Watches(&corev1.Pod{}, behind{handler.EnqueueRequestsFromMapFunc(r.byFreed)}, builder.WithPredicates(freed())).
		Watches(&corev1.Node{}, handler.EnqueueRequestsFromMapFunc(r.byNode), builder.WithPredicates(nodeNews())).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.byConfig), builder.WithPredicates(configNews())).
		WatchesRawSource(source.Func(r.answers)).
		WatchesRawSource(source.Func(r.watchClaims)).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrent, ReconciliationTimeout: passLimit}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the workspace controller: %w", err)
	}
	return nil
}

// answers makes a pass of each answer that a pod has given.
func (r *Reconciler) answers(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
	go func() {
		for {
			select {
			case ws := <-r.startups.News():
				queue.Add(ctrl.Request{NamespacedName: ws})
			case ws := <-r.tunings.News():
				queue.Add(ctrl.Request{NamespacedName: ws})
			case ws := <-r.models.News():
				queue.Add(ctrl.Request{NamespacedName: ws})
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// report writes the status once, when it changed, and tells what turned as events.
func (r *Reconciler) report(ctx context.Context, ws *v1beta1.Workspace, d decision) error {
	status := d.status(ws, metav1.NewTime(r.clock.Now().Truncate(time.Second)))
	forget := r.echoes.expect(ws, status)
	wrote, err := r.writer.Report(ctx, ws, status)
	if err != nil || !wrote {
		forget()
	}
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // a newer pass, or the end of the Workspace, is on its way
	}
	if err != nil || !wrote {
		return err
	}
	for _, c := range append(turned(ws.Status.Conditions, status.Conditions), d.warnings...) {
		r.tell(ws, c)
	}
	if status.Startup != nil && answersNow(status) && !answersNow(ws.Status) {
		r.meter.Started(*status.Startup)
	}
	return nil
}

func answersNow(s v1beta1.WorkspaceStatus) bool {
	return meta.IsStatusConditionTrue(s.Conditions, v1beta1.ConditionInferenceReady)
}
