package workspace

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// goesOn ranks a pass that goes on with what was begun behind those that a person waits
// for, a new Workspace or an edit. Where hundreds come at once, all their pods start
// before any of the rest is made or told.
const goesOn = -1

// behind ranks the passes of a handler as goesOn.
type behind struct{ of handler.EventHandler }

// queue is where handlers put passes.
type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Create takes what has come.
func (b behind) Create(ctx context.Context, e event.CreateEvent, q queue) {
	b.of.Create(ctx, e, lower(q))
}

// Update takes a change.
func (b behind) Update(ctx context.Context, e event.UpdateEvent, q queue) {
	b.of.Update(ctx, e, lower(q))
}

// Delete takes an end.
func (b behind) Delete(ctx context.Context, e event.DeleteEvent, q queue) {
	b.of.Delete(ctx, e, lower(q))
}

// Generic takes what is none of the others.
func (b behind) Generic(ctx context.Context, e event.GenericEvent, q queue) {
	b.of.Generic(ctx, e, lower(q))
}

// lower ranks what is added to q and has no rank.
func lower(q queue) queue {
	if ranked, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		return lowered{ranked}
	}
	return q
}

type lowered struct {
	priorityqueue.PriorityQueue[reconcile.Request]
}

// Add is what handlers call that know nothing of ranks.
func (l lowered) Add(item reconcile.Request) { l.AddWithOpts(priorityqueue.AddOpts{}, item) }

// AddWithOpts leaves a rank that was given: what stood there at the start comes last of all.
func (l lowered) AddWithOpts(o priorityqueue.AddOpts, items ...reconcile.Request) {
	if o.Priority == nil {
		o.Priority = new(goesOn)
	}
	l.PriorityQueue.AddWithOpts(o, items...)
}
