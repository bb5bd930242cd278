package repair

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/nodeclaim"
)

// ledger holds when machines were replaced, by owner: replacing costs money and takes a
// model down, and what breaks three times in an hour is not cured by a fourth machine. One
// pass at a time uses it.
type ledger struct {
	clock clock.PassiveClock
	times map[string][]time.Time
	// deleted are claims that we have deleted: a cache may not show it yet.
	deleted map[types.UID]time.Time
}

func newLedger(c clock.PassiveClock) *ledger {
	return &ledger{clock: c, times: map[string][]time.Time{}, deleted: map[types.UID]time.Time{}}
}

// brake says why a claim may not be replaced now, or nothing. All are the claims of the
// cluster; rebooting those whose machines are being rebooted.
func (l *ledger) brake(claim *nodeclaim.NodeClaim, all []nodeclaim.NodeClaim, rebooting map[types.UID]bool, o Options) string {
	kind := claim.Labels[corev1.LabelInstanceTypeStable]
	total, busy := 0, 0
	for i := range all {
		other := &all[i]
		if other.Labels[corev1.LabelInstanceTypeStable] != kind || !nodeclaim.Ours(other) {
			continue
		}
		total++
		_, deleted := l.deleted[other.UID]
		if other.UID != claim.UID && (!other.DeletionTimestamp.IsZero() || deleted || rebooting[other.UID]) {
			busy++
		}
	}
	if most := max(1, total*o.Percent/100); busy >= most {
		return fmt.Sprintf("%d of %d nodes of the type %s are being repaired or removed, and no more than %d may be at once", busy, total, kind, most)
	}
	if who := owner(claim); l.recent(who) >= o.Hourly {
		return fmt.Sprintf("%d nodes of %s were replaced within an hour: see whether what runs on them breaks them", o.Hourly, who)
	}
	return ""
}

// recent is how many machines of an owner were replaced within the last hour.
func (l *ledger) recent(who string) int {
	l.times[who] = slices.DeleteFunc(l.times[who], func(at time.Time) bool { return l.clock.Since(at) >= time.Hour })
	if len(l.times[who]) == 0 {
		delete(l.times, who)
	}
	return len(l.times[who])
}

// book notes that a claim was deleted.
func (l *ledger) book(claim *nodeclaim.NodeClaim) {
	now, who := l.clock.Now(), owner(claim)
	l.times[who] = append(l.times[who], now)
	maps.DeleteFunc(l.deleted, func(_ types.UID, at time.Time) bool { return now.Sub(at) >= time.Hour })
	l.deleted[claim.UID] = now
}

// owner is the Workspace of a claim, or the claim itself where a person has made it.
func owner(claim *nodeclaim.NodeClaim) string {
	if name := claim.Labels[nodeclaim.LabelWorkspace]; name != "" {
		return fmt.Sprintf("Workspace %s/%s", claim.Labels[nodeclaim.LabelNamespace], name)
	}
	return "NodeClaim " + claim.Name
}
