package nodeclaim

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// Limits stand between claims and the bill.
type Limits struct {
	// Cluster holds for all claims together, Namespace for those of the Workspaces of one namespace.
	Cluster, Namespace Limit
}

// Limit is how much there may be at once; 0 is no limit.
type Limit struct {
	// Nodes are machines that stand, are made or are removed, and GPUs those that they have.
	Nodes, GPUs int
	// Attempts are requests for machines within an hour.
	Attempts int
}

// Machine is what a claim has of machines, for limits.
type Machine struct {
	// UID is the claim's, empty where nothing is left but what was asked for.
	UID       types.UID
	Namespace string
	GPUs      int
	// Asked are the times at which it was asked for.
	Asked []time.Time
}

// Exceeded says which limit stands in the way of one more machine, or nothing. Machines are
// all that there are, without the one that is wanted, except for its earlier requests.
func (l Limits) Exceeded(machines []Machine, want Machine, now time.Time) string {
	near := func(m Machine) bool { return m.Namespace == want.Namespace }
	if why := l.Namespace.exceeded("The namespace "+want.Namespace, slices.DeleteFunc(slices.Clone(machines), func(m Machine) bool { return !near(m) }), want, now); why != "" {
		return why
	}
	return l.Cluster.exceeded("The cluster", machines, want, now)
}

// exceeded says whether a scope of that name may have one more machine.
func (l Limit) exceeded(scope string, machines []Machine, want Machine, now time.Time) string {
	nodes, gpus, attempts := 0, 0, 0
	for _, m := range machines {
		attempts += m.askedSince(now.Add(-time.Hour), now)
		if m.UID != "" && m.UID != want.UID {
			nodes, gpus = nodes+1, gpus+m.GPUs
		}
	}
	const advice = "%s has %d %s on demand, this NodeClaim wants %d, and the limit is %d. Delete what is not needed, or raise the provisioner's limit"
	switch {
	case l.Nodes > 0 && nodes+1 > l.Nodes:
		return fmt.Sprintf(advice, scope, nodes, "nodes", 1, l.Nodes)
	case l.GPUs > 0 && gpus+want.GPUs > l.GPUs:
		return fmt.Sprintf(advice, scope, gpus, "GPUs", want.GPUs, l.GPUs)
	case l.Attempts > 0 && attempts+1 > l.Attempts:
		return fmt.Sprintf("%s has asked for as many machines within an hour as its limit of %d allows. It goes on by itself", scope, l.Attempts)
	default:
		return ""
	}
}

// askedSince is how often a machine was asked for in a time.
func (m Machine) askedSince(from, to time.Time) int {
	n := 0
	for _, at := range m.Asked {
		if at.After(from) && !at.After(to) {
			n++
		}
	}
	return n
}

// ledger is what this process has asked for: the cache of claims may not show it yet, and
// claims that are gone do not show what was asked for them.
type ledger struct {
	mu   sync.Mutex
	asks map[types.UID]Machine
}

// admit says whether one more machine may be asked for, and books it.
func (r *Reconciler) admit(ctx context.Context, o observed, offer node.Offer) (*node.Error, error) {
	if r.o.Limits == (Limits{}) {
		return nil, nil
	}
	l := r.books
	l.mu.Lock()
	defer l.mu.Unlock()
	var claims nodeclaim.NodeClaimList
	if err := r.o.Client.List(ctx, &claims, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list the NodeClaims: %w", err)
	}
	want := Machine{UID: o.claim.UID, Namespace: o.claim.Labels[nodeclaim.LabelNamespace], GPUs: offer.GPUs}
	if why := r.o.Limits.Exceeded(l.machines(claims.Items, o.now), want, o.now); why != "" {
		return &node.Error{Class: limitReached, Message: why}, nil
	}
	if l.asks == nil {
		l.asks = map[types.UID]Machine{}
	}
	want.Asked = append(l.asks[want.UID].Asked, o.now)
	l.asks[want.UID] = want
	return nil, nil
}

// machines merges what claims say with what was asked for a moment ago; the lock is held.
func (l *ledger) machines(claims []nodeclaim.NodeClaim, now time.Time) []Machine {
	const settled = time.Minute
	var all []Machine
	seen := map[types.UID]bool{}
	for i := range claims {
		claim := &claims[i]
		if !nodeclaim.Ours(claim) {
			continue
		}
		own, asked := l.asks[claim.UID]
		b := read(claim)
		recent := asked && now.Sub(own.Asked[len(own.Asked)-1]) < settled
		if !b.open() && !recent {
			continue
		}
		seen[claim.UID] = true
		m := Machine{UID: claim.UID, Namespace: claim.Labels[nodeclaim.LabelNamespace], GPUs: own.GPUs, Asked: own.Asked}
		if b.open() {
			m.GPUs = b.attempt.GPUs
			if !asked {
				m.Asked = []time.Time{b.attempt.Asked}
			}
		}
		all = append(all, m)
	}
	for uid, own := range l.asks {
		if !seen[uid] {
			// It has no machine any more; what was asked for it counts for an hour.
			if now.Sub(own.Asked[len(own.Asked)-1]) > time.Hour {
				delete(l.asks, uid)
				continue
			}
			all = append(all, Machine{UID: "", Namespace: own.Namespace, Asked: own.Asked})
		}
	}
	return all
}
