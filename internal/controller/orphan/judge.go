package orphan

import (
	"cmp"
	"slices"
	"time"

	"kaito.sh/kaito/internal/node"
)

// Why an orphan is left alone.
const (
	// whyFirst: one sweep is not enough.
	whyFirst = "seen_once"
	// whyYoung: its claim may only just be written.
	whyYoung = "young"
	// whyAge: the cloud does not say how old it is, or says what cannot be.
	whyAge = "unknown_age"
	// whyMass: so many have lost their claims that the claims may be what is wrong.
	whyMass = "mass"
	// whyLimit: enough are removed in this sweep.
	whyLimit = "limit"
	// whyDry: it would be removed but for the dry run.
	whyDry = "dry_run"
)

// sighting is what sweeps have seen of one machine without a claim, by the cloud's clock.
type sighting struct {
	owner       node.Owner
	first, last time.Time
	times       int
	// said is why it was left alone the last time.
	said string
}

type sightings map[node.Key]sighting

// held is an orphan that is left alone; news is true when the cause is another than last time.
type held struct {
	machine node.Observed
	why     string
	news    bool
}

// verdict is what a sweep comes to.
type verdict struct {
	found  int
	remove []node.Observed
	held   []held
	seen   sightings
}

// hold leaves an orphan alone.
func (v *verdict) hold(m node.Observed, why string) {
	s := v.seen[m.Key]
	v.held = append(v.held, held{machine: m, why: why, news: s.said != why})
	s.said = why
	v.seen[m.Key] = s
}

// judge decides about every machine of a listing. claimed are the UIDs of the claims that
// there are, read after the listing.
func judge(cluster string, listing node.Listing, claimed map[string]bool, before sightings, o Options) verdict {
	v := verdict{seen: sightings{}}
	var ripe []node.Observed
	machines := 0
	for _, m := range listing.Machines {
		if m.Owner.Cluster != cluster || m.Owner.ClaimUID == "" || m.State == node.Deleting || m.State == node.Absent {
			continue // not ours, or on its way out
		}
		machines++
		if claimed[m.Owner.ClaimUID] {
			continue
		}
		v.found++
		v.seen[m.Key] = before[m.Key].again(m.Owner, listing.Now, o.Every)
		if why := unripe(m, v.seen[m.Key], listing.Now, o); why != "" {
			v.hold(m, why)
			continue
		}
		ripe = append(ripe, m)
	}
	v.pick(ripe, machines, listing.Now, o)
	return v
}

// pick chooses which of the orphans that may be removed are, the oldest first.
func (v *verdict) pick(ripe []node.Observed, machines int, now time.Time, o Options) {
	slices.SortFunc(ripe, func(a, b node.Observed) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Key, b.Key))
	})
	mass := v.found > 1 && v.found > machines/2
	for _, m := range ripe {
		switch {
		case mass && now.Sub(v.seen[m.Key].first) < o.Patience:
			v.hold(m, whyMass)
		case o.DryRun:
			v.hold(m, whyDry)
		case len(v.remove) >= max(o.Most, machines*o.Percent/100):
			v.hold(m, whyLimit)
		default:
			v.remove = append(v.remove, m)
		}
	}
}

// unripe says why an orphan must not be removed yet, or nothing.
func unripe(m node.Observed, s sighting, now time.Time, o Options) string {
	switch {
	case s.times < 2:
		return whyFirst
	case m.CreatedAt.IsZero() || m.CreatedAt.After(now):
		return whyAge
	case now.Sub(m.CreatedAt) <= o.Age:
		return whyYoung
	}
	return ""
}

// again is a sighting one sweep later. Sweeps that follow each other too closely by the
// cloud's clock, because ours has jumped or the cloud's answer is an old one, count once.
func (s sighting) again(owner node.Owner, now time.Time, every time.Duration) sighting {
	if s.owner != owner || now.Before(s.last) {
		return sighting{owner: owner, first: now, last: now, times: 1, said: s.said}
	}
	if now.Sub(s.last) >= every/2 {
		s.times, s.last = s.times+1, now
	}
	return s
}

// spoken are the causes that a person should hear of.
func spoken(why string) bool { return slices.Contains([]string{whyAge, whyMass, whyDry}, why) }

// causes are all that a metric shows, so that none is missing while it is zero.
func causes() []string { return []string{whyFirst, whyYoung, whyAge, whyMass, whyLimit, whyDry} }
