package nodeclaim

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// observed is what a pass has seen in the cluster, before it asks the cloud. Nodes are the
// cache's own: they are read, never changed.
type observed struct {
	claim *nodeclaim.NodeClaim
	key   node.Key
	owner node.Owner
	// book is what the claim's annotations say; history is empty where the user has changed something since.
	book book
	// nodes are those that may be of this claim's machine.
	nodes []*corev1.Node
	// now dates what is written.
	now time.Time
	// phase is where the claim is, and spent how long it has been there.
	phase phase
	spent time.Duration
	// protected says that it has our finalizer.
	protected bool
	deadlines Deadlines
}

// phase is what a claim waits for.
type phase string

const (
	phaseLaunch         phase = "launch"
	phaseRegistration   phase = "registration"
	phaseInitialization phase = "initialization"
	phaseReady          phase = "ready"
	phaseDeletion       phase = "deletion"
)

// observe reads what a decision needs.
func (r *Reconciler) observe(ctx context.Context, claim *nodeclaim.NodeClaim) (observed, error) {
	o := observed{
		claim: claim, key: node.KeyOf(r.o.Cluster, string(claim.UID)), book: read(claim), now: r.o.Clock.Now(), deadlines: r.o.Deadlines,
		owner:     node.Owner{Cluster: r.o.Cluster, ClaimUID: string(claim.UID), ClaimName: claim.Name},
		protected: controllerutil.ContainsFinalizer(claim, nodeclaim.Finalizer),
	}
	if m := o.book.history.Mark; m != "" && m != markOf(claim) {
		o.book.history = history{}
	}
	var since time.Time
	o.phase, since = phaseOf(claim, o.book)
	o.spent = r.mind.spent(claim, fmt.Sprintf("%s/%d", o.phase, o.book.attempts), since)
	seen := map[string]bool{}
	for _, value := range []string{string(o.key), claim.Status.ProviderID} {
		if value == "" {
			continue
		}
		var list corev1.NodeList
		if err := r.o.Client.List(ctx, &list, client.MatchingFields{nodeIndex: value}, client.UnsafeDisableDeepCopy); err != nil {
			return o, fmt.Errorf("list the nodes of NodeClaim %q: %w", claim.Name, err)
		}
		for i := range list.Items {
			if n := &list.Items[i]; !seen[n.Name] {
				seen[n.Name] = true
				o.nodes = append(o.nodes, n)
			}
		}
	}
	return o, nil
}

// phaseOf says what a claim waits for, and since when.
func phaseOf(claim *nodeclaim.NodeClaim, b book) (phase, time.Time) {
	if !claim.DeletionTimestamp.IsZero() {
		return phaseDeletion, claim.DeletionTimestamp.Time
	}
	launched, registered := nodeclaim.Condition(claim, nodeclaim.ConditionLaunched), nodeclaim.Condition(claim, nodeclaim.ConditionRegistered)
	switch {
	case launched.Status != "True":
		if b.attempt == nil {
			return phaseLaunch, time.Time{}
		}
		return phaseLaunch, b.attempt.Asked
	case registered.Status != "True":
		return phaseRegistration, launched.LastTransitionTime.Time
	case !nodeclaim.IsTrue(claim, nodeclaim.ConditionInitialized):
		return phaseInitialization, registered.LastTransitionTime.Time
	default:
		return phaseReady, time.Time{}
	}
}

// answer is what the cloud has said about a claim's machine, and when.
type answer struct {
	machine node.Observed
	// err is why it has not said it.
	err *node.Error
	// removing says that it was asked to remove it.
	removing bool
	// left is how long the answer is good for: the cloud is not asked before.
	left time.Duration
}

// look asks the cloud about a claim's machine, unless it was asked a moment ago.
func (r *Reconciler) look(ctx context.Context, o observed) answer {
	if a, fresh := r.mind.recall(o.claim); fresh {
		return a
	}
	machine, err := r.cloud.observe(ctx, o.key, o.book.token)
	return r.mind.learn(o.claim, o.phase, answer{machine: machine, err: err})
}
