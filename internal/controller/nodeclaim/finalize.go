package nodeclaim

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// annotationTermination is until when whoever drains the node may take, as Karpenter writes it.
const annotationTermination = "karpenter.sh/nodeclaim-termination-timestamp"

// conditionTerminating is Karpenter's; it says here why a removal does not go on.
const conditionTerminating = "InstanceTerminating"

// finalize takes away what a claim has: first its node, which is drained by others, then
// its machine, whether or not it ever had one that we know of. It does not depend on any
// write to the claim except the last.
func (r *Reconciler) finalize(ctx context.Context, o observed) (time.Duration, error) {
	if err := r.limitDrain(ctx, &o); err != nil {
		return 0, err
	}
	for _, n := range o.nodes {
		if !n.DeletionTimestamp.IsZero() {
			continue
		}
		if err := r.o.Client.Delete(ctx, n, client.Preconditions{UID: ptr.To(n.UID)}); ignoreOld(client.IgnoreNotFound(err)) != nil {
			return 0, fmt.Errorf("delete node %q: %w", n.Name, err)
		}
	}
	if left := o.drains(); left > 0 {
		return min(left, paceWhole), nil // the node's going wakes us
	}
	if gone, after := r.removed(ctx, o); !gone {
		return after, nil
	}
	next := o.claim.DeepCopy()
	controllerutil.RemoveFinalizer(next, nodeclaim.Finalizer)
	if err := r.patch(ctx, o.claim, next); err != nil {
		return 0, err
	}
	r.mind.forget(o.claim.Name)
	logger(ctx, o.claim).Info("everything of the NodeClaim is gone")
	return 0, nil
}

// drains is how long the node of a claim that is being deleted may still take.
func (o observed) drains() time.Duration {
	if len(o.nodes) == 0 {
		return 0
	}
	return max(0, o.deadlines.Drain-o.spent)
}

// limitDrain writes down until when the node may be drained, if the claim limits it.
func (r *Reconciler) limitDrain(ctx context.Context, o *observed) error {
	limit := o.claim.Spec.TerminationGracePeriod
	if _, there := o.claim.Annotations[annotationTermination]; limit == nil || there || len(o.nodes) == 0 {
		return nil
	}
	next := o.claim.DeepCopy()
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, annotationTermination, o.claim.DeletionTimestamp.Add(limit.Duration).Format(time.RFC3339))
	if err := r.patch(ctx, o.claim, next); err != nil {
		return err
	}
	o.claim = next
	return nil
}

// complain says on the claim why its machine cannot be removed. Should this fail, the
// removal goes on all the same.
func (r *Reconciler) complain(ctx context.Context, o observed, e *node.Error) {
	if e == nil || e.Class == node.Conflict || e.Class == node.Throttled {
		return
	}
	c := unknown(conditionTerminating, reasonOf(e.Class), sentence("The machine cannot be removed yet: "+words(e), e.Fix))
	if have := nodeclaim.Condition(o.claim, conditionTerminating); have.Reason == c.Reason && have.Message == c.Message {
		return
	}
	next := o.claim.DeepCopy()
	conditions := nodeclaim.Conditions(o.claim)
	c.ObservedGeneration, c.LastTransitionTime = o.claim.Generation, metav1.NewTime(o.now.Truncate(time.Second))
	nodeclaim.SetConditions(next, set(conditions, c))
	err := r.o.Client.Status().Patch(ctx, next, client.MergeFromWithOptions(o.claim.DeepCopy(), client.MergeFromWithOptimisticLock{}))
	if err != nil {
		logger(ctx, o.claim).Info("cannot say why the machine is not removed", "error", err.Error())
		return
	}
	r.tell(o.claim, warning(c.Reason, c.Message))
}
