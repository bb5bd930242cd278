package nodeclaim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

const (
	// atOnce makes the next pass, and afterConflict one that sees what somebody else has written.
	atOnce        = time.Millisecond
	afterConflict = 200 * time.Millisecond
)

// launch asks for a machine of the best offer that was not refused yet.
func (r *Reconciler) launch(ctx context.Context, o observed) (time.Duration, error) {
	if a, fresh := r.mind.recall(o.claim); fresh && a.err != nil && !o.book.open() {
		return r.conclude(ctx, o, judge(o, a)) // it was refused a moment ago, before any attempt
	}
	if !o.book.history.Until.IsZero() { // the wait is over
		o.book.history.Tries, o.book.history.Until = nil, time.Time{}
	}
	shape := shapeOf(o.claim, o.key)
	offers, e := r.cloud.offers(ctx, shape)
	if e != nil {
		return r.conclude(ctx, o, judge(o, r.mind.learn(o.claim, o.phase, answer{err: e})))
	}
	offer, left := o.book.untried(offers)
	if !left {
		return r.conclude(ctx, o, exhaust(o, r.mind.jitter()))
	}
	return r.ask(ctx, o, shape, offer)
}

// ask notes that a machine is asked for, and asks. The note fails if anybody else has
// written the claim since it was read, so that nothing is asked for a claim that is gone.
func (r *Reconciler) ask(ctx context.Context, o observed, shape node.Shape, offer node.Offer) (time.Duration, error) {
	refusal, err := r.admit(ctx, o, offer)
	if err != nil {
		return 0, err
	}
	if refusal != nil {
		return r.conclude(ctx, o, judge(o, r.mind.learn(o.claim, o.phase, answer{err: refusal})))
	}
	o.book.attempt = &attempt{Offer: offer, Asked: o.now.UTC().Truncate(time.Second)}
	o.book.attempts++
	token := o.book.token
	o.book.token = ""
	next := o.claim.DeepCopy()
	controllerutil.AddFinalizer(next, nodeclaim.Finalizer)
	next.Labels = labelsOf(o.claim, offer)
	if err := o.book.write(next, o.key); err != nil {
		return 0, err
	}
	if err := r.patch(ctx, o.claim, next); err != nil {
		return 0, err
	}
	o.claim, o.protected, o.spent = next, true, 0
	shape.Labels[nodeclaim.LabelCapacityType] = offer.CapacityType
	machine, e := r.cloud.ensure(ctx, node.Request{Key: o.key, Owner: o.owner, Offer: offer, Shape: shape, Token: token})
	if e == nil && machine.State == node.Absent {
		machine.State = node.Creating // it was accepted, and is not to be seen yet
	}
	if e == nil {
		logger(ctx, o.claim).Info("asked for a machine", "offer", described(offer), "attempt", o.book.attempts)
	}
	after, err := r.follow(ctx, o, r.mind.learn(o.claim, o.phase, answer{machine: machine, err: e}))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		r.regret(ctx, o)
	}
	return after, err
}

// regret removes a machine whose claim was deleted while it was asked for: another process
// may have seen that there was no machine just before. Should this fail too, the sweep of
// orphans finds it.
func (r *Reconciler) regret(ctx context.Context, o observed) {
	now := &nodeclaim.NodeClaim{}
	err := r.o.Reader.Get(ctx, client.ObjectKeyFromObject(o.claim), now)
	if client.IgnoreNotFound(err) != nil || err == nil && now.UID == o.claim.UID && now.DeletionTimestamp.IsZero() {
		return
	}
	_, e := r.cloud.remove(ctx, o.key, o.owner)
	logger(ctx, o.claim).Info("removed the machine of a NodeClaim that went away meanwhile", "refused", fmt.Sprint(e))
}

// follow does what an answer about the machine asks for.
func (r *Reconciler) follow(ctx context.Context, o observed, a answer) (time.Duration, error) {
	d := judge(o, a)
	if !d.again {
		return r.conclude(ctx, o, d)
	}
	return r.ask(ctx, o, shapeOf(o.claim, o.key), o.book.attempt.Offer)
}

// rest says how a claim stands that waits, or is ready.
func (r *Reconciler) rest(ctx context.Context, o observed) (time.Duration, error) {
	d := standing(o)
	if o.phase != phaseReady {
		d.settle(o)
		d.after = o.waits()
	}
	return r.conclude(ctx, o, d)
}

// clear removes what is left of an attempt. Before that the claim says that it has no
// machine, and its node lets go of it: whoever drains nodes would take the claim away with its node.
func (r *Reconciler) clear(ctx context.Context, o observed) (time.Duration, error) {
	d := standing(o)
	d.settle(o)
	if wrote, err := r.report(ctx, o.claim, d); err != nil || wrote {
		return atOnce, err
	}
	if err := r.free(ctx, o); err != nil {
		return afterConflict, ignoreOld(err)
	}
	if gone, after := r.removed(ctx, o); !gone {
		return after, nil
	}
	for _, n := range o.nodes {
		if err := r.o.Client.Delete(ctx, n); client.IgnoreNotFound(err) != nil {
			return 0, fmt.Errorf("delete node %q: %w", n.Name, err)
		}
	}
	if len(o.nodes) > 0 {
		return paceRemoving, nil
	}
	r.mind.again(o.claim)
	o.book.attempt, o.book.token = nil, ""
	return atOnce, r.note(ctx, &o, o.book)
}

// free takes our finalizer off the nodes of a machine that is to be made again.
func (r *Reconciler) free(ctx context.Context, o observed) error {
	for _, n := range o.nodes {
		if !controllerutil.ContainsFinalizer(n, nodeclaim.Finalizer) {
			continue
		}
		freed := n.DeepCopy()
		controllerutil.RemoveFinalizer(freed, nodeclaim.Finalizer)
		if err := r.patch(ctx, n, freed); err != nil {
			return err
		}
	}
	return nil
}

// removed removes the machine of a claim, by its key, whether or not it is known to have
// one. It says whether there is none any more, or else when to ask again.
func (r *Reconciler) removed(ctx context.Context, o observed) (bool, time.Duration) {
	if a, fresh := r.mind.recall(o.claim); fresh && a.removing {
		return false, a.left // it was asked for a moment ago
	}
	machine, e := r.cloud.remove(ctx, o.key, o.owner)
	if e != nil && e.Class == node.Exists || e == nil && machine.State == node.Absent {
		return true, 0 // in the first case another's is there, and nothing of ours
	}
	a := r.mind.learn(o.claim, phaseDeletion, answer{machine: machine, err: e, removing: true})
	if o.phase == phaseDeletion {
		r.complain(ctx, o, e)
	}
	return false, a.left
}

// protect puts our finalizer back on a claim that has a machine.
func (r *Reconciler) protect(ctx context.Context, o observed) (time.Duration, error) {
	next := o.claim.DeepCopy()
	controllerutil.AddFinalizer(next, nodeclaim.Finalizer)
	return atOnce, r.patch(ctx, o.claim, next)
}

// conclude writes what a decision has changed: the book, then the node, then the status.
func (r *Reconciler) conclude(ctx context.Context, o observed, d decision) (time.Duration, error) {
	if d.book.open() || !d.book.history.Until.Equal(read(o.claim).history.Until) {
		if err := r.note(ctx, &o, d.book); err != nil {
			return 0, err
		}
	}
	for _, e := range d.events {
		r.tell(o.claim, e)
	}
	r.measure(o, d)
	if d.node != nil {
		have := o.nodes[slices.IndexFunc(o.nodes, func(n *corev1.Node) bool { return n.Name == d.node.Name })]
		if err := r.patch(ctx, have, d.node); err != nil {
			return afterConflict, ignoreOld(err)
		}
	}
	if _, err := r.report(ctx, o.claim, d); err != nil {
		return 0, err
	}
	return d.after, nil
}

// note writes the book, if it says something else than the claim's annotations.
func (r *Reconciler) note(ctx context.Context, o *observed, b book) error {
	next := o.claim.DeepCopy()
	if err := b.write(next, o.key); err != nil {
		return err
	}
	if maps.Equal(o.claim.Annotations, next.Annotations) {
		return nil
	}
	if err := r.patch(ctx, o.claim, next); err != nil {
		return err
	}
	o.claim = next
	return nil
}

// patch writes what differs, unless somebody else has written it since it was read.
func (r *Reconciler) patch(ctx context.Context, was, is client.Object) error {
	before, ok := was.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object of a cluster", was)
	}
	if err := r.o.Client.Patch(ctx, is, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("write %T %q: %w", is, is.GetName(), err)
	}
	return nil
}

// report writes the status once, when it changed, and tells what turned.
func (r *Reconciler) report(ctx context.Context, claim *nodeclaim.NodeClaim, d decision) (bool, error) {
	next := claim.DeepCopy()
	next.Status = *d.status.DeepCopy()
	conditions := nodeclaim.Conditions(claim)
	now := metav1.NewTime(r.o.Clock.Now().Truncate(time.Second))
	for _, c := range []metav1.Condition{d.launched, d.registered, d.initialized, summary(d)} {
		c.ObservedGeneration, c.LastTransitionTime = claim.Generation, now
		meta.SetStatusCondition(&conditions, c)
	}
	nodeclaim.SetConditions(next, conditions)
	if equality.Semantic.DeepEqual(claim.Status, next.Status) {
		return false, nil
	}
	was := claim.DeepCopy()
	if err := r.o.Client.Status().Patch(ctx, next, client.MergeFromWithOptions(was, client.MergeFromWithOptimisticLock{})); err != nil {
		return false, fmt.Errorf("write the status of NodeClaim %q: %w", claim.Name, err)
	}
	before := nodeclaim.Condition(claim, nodeclaim.ConditionLaunched)
	if e, worth := turned(before, d.launched); worth {
		r.tell(claim, e)
	}
	return true, nil
}

// summary is the condition Ready: the first that is not True, with its own words.
func summary(d decision) metav1.Condition {
	for _, c := range []metav1.Condition{d.launched, d.registered, d.initialized} {
		if c.Status != metav1.ConditionTrue {
			c.Type = nodeclaim.ConditionReady
			return c
		}
	}
	return isTrue(nodeclaim.ConditionReady)
}

// ignoreOld leaves out what a newer pass will see anyway.
func ignoreOld(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
