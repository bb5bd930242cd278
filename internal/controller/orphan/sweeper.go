// Package orphan removes machines that no NodeClaim asks for any more: those whose claim lost
// its finalizer by hand, or was lost with the state of the cluster. A machine is removed only
// if two sweeps and one more look saw no claim of it, and never by name alone.
package orphan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
)

// Options are how careful the sweep is. Times between what a cloud says are by the cloud's
// own clock: ours may jump.
type Options struct {
	// Every is the time between two sweeps.
	Every time.Duration
	// Age is how old a machine must be: the claim of a younger one may only just be written.
	Age time.Duration
	// Most and Percent limit how many are removed in one sweep: Most, or Percent of all
	// machines, whichever is more.
	Most, Percent int
	// Patience is how long nothing is removed after more than half of the machines, and more
	// than one, have lost their claims: then the claims may be what is wrong.
	Patience time.Duration
	// DryRun reports and removes nothing.
	DryRun bool
}

// Defaults are careful options.
func Defaults() Options {
	return Options{Every: 2 * time.Minute, Age: 10 * time.Minute, Most: 5, Percent: 10, Patience: time.Hour}
}

// Meter counts what sweeps do.
type Meter interface {
	// OrphansSeen takes how many machines without a claim a sweep saw, and how many of them it left
	// alone, by the cause.
	OrphansSeen(found int, held map[string]int)
	// OrphanRemoved counts a removal that was asked for; failed is true where it was refused.
	OrphanRemoved(failed bool)
}

// Inputs are what a sweeper works with.
type Inputs struct {
	// Provider has the machines of the cluster with the id Cluster.
	Provider node.Provider
	Cluster  string
	// Live reads claims from the API server, not from a cache.
	Live     client.Reader
	Recorder events.EventRecorder
	Clock    clock.WithTicker
	Log      logr.Logger
	Meter    Meter
	Options  Options
}

// Sweeper looks for orphans time and again, on the replica that leads.
type Sweeper struct {
	in Inputs
	// seen is what the sweeps before have seen. A restart forgets it, and two more are needed.
	seen sightings
}

var _ manager.LeaderElectionRunnable = (*Sweeper)(nil)

// New makes a sweeper.
func New(in Inputs) *Sweeper { return &Sweeper{in: in, seen: sightings{}} }

// NeedLeaderElection says that one replica sweeps.
func (*Sweeper) NeedLeaderElection() bool { return true }

// Start sweeps until ctx ends.
func (s *Sweeper) Start(ctx context.Context) error {
	tick := s.in.Clock.NewTicker(s.in.Options.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.in.Log.Error(err, "a sweep for orphans was cut short")
			}
		}
	}
}

// Sweep looks once. Whatever it cannot read ends it without a removal.
func (s *Sweeper) Sweep(ctx context.Context) error {
	// Machines first: the claim of each of these was written before its machine was asked for.
	listing, err := s.in.Provider.List(ctx, s.in.Cluster)
	if err != nil {
		return fmt.Errorf("list the machines of the cluster: %w", err)
	}
	claimed, err := s.claims(ctx)
	if err != nil {
		return err
	}
	v := judge(s.in.Cluster, listing, claimed, s.seen, s.in.Options)
	s.seen = v.seen
	counts := map[string]int{}
	for _, why := range causes() {
		counts[why] = 0
	}
	for _, h := range v.held {
		counts[h.why]++
		if h.news && spoken(h.why) {
			s.tell(h.machine, reasonHeld, heldNote(h, s.in.Options))
		}
	}
	s.in.Meter.OrphansSeen(v.found, counts)
	var errs []error
	for _, m := range v.remove {
		errs = append(errs, s.remove(ctx, m))
	}
	return errors.Join(errs...)
}

// claims are the UIDs of all that there are, from the API server itself.
func (s *Sweeper) claims(ctx context.Context) (map[string]bool, error) {
	var list nodeclaim.NodeClaimList
	if err := s.in.Live.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list the NodeClaims: %w", err)
	}
	claimed := make(map[string]bool, len(list.Items))
	for i := range list.Items {
		claimed[string(list.Items[i].UID)] = true
	}
	return claimed, nil
}

// remove asks for the removal of one machine, after a last look for its claim.
func (s *Sweeper) remove(ctx context.Context, m node.Observed) error {
	var claim nodeclaim.NodeClaim
	err := s.in.Live.Get(ctx, client.ObjectKey{Name: m.Owner.ClaimName}, &claim)
	switch {
	case err == nil && string(claim.UID) == m.Owner.ClaimUID:
		return nil
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("look for the NodeClaim %q of the machine %q: %w", m.Owner.ClaimName, m.Key, err)
	}
	_, err = s.in.Provider.Remove(ctx, m.Key, m.Owner)
	var failure *node.Error
	if errors.As(err, &failure) && failure.Class == node.Conflict {
		return nil // something is under way: the next sweep asks again
	}
	s.in.Meter.OrphanRemoved(err != nil)
	if err != nil {
		return fmt.Errorf("remove the machine %q, which no NodeClaim asks for: %w", m.Key, err)
	}
	s.in.Log.Info("removed a machine that no NodeClaim asks for", "machine", m.Key, "nodeClaim", m.Owner.ClaimName, "claimUID", m.Owner.ClaimUID)
	s.tell(m, reasonRemoved, removedNote(m))
	return nil
}
