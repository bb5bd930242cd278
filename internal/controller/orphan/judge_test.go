package orphan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/node"
)

// begin is when the cloud's clock stands at the first sweep.
var begin = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// old is a machine that was made an hour before.
func old(key string, edits ...func(*node.Observed)) node.Observed {
	m := node.Observed{
		Key: node.Key(key), State: node.Ready, CreatedAt: begin.Add(-time.Hour),
		Owner: node.Owner{Cluster: "c", ClaimUID: "uid-" + key, ClaimName: "ws-" + key},
	}
	for _, edit := range edits {
		edit(&m)
	}
	return m
}

func made(at time.Time) func(*node.Observed) { return func(m *node.Observed) { m.CreatedAt = at } }

func in(s node.State) func(*node.Observed) { return func(m *node.Observed) { m.State = s } }

func owned(cluster, uid string) func(*node.Observed) {
	return func(m *node.Observed) { m.Owner.Cluster, m.Owner.ClaimUID = cluster, uid }
}

// many are n machines.
func many(n int) []node.Observed {
	var all []node.Observed
	for i := range n {
		all = append(all, old(fmt.Sprintf("k%03d", i)))
	}
	return all
}

// uids are the claims of machines.
func uids(machines []node.Observed) []string {
	var all []string
	for _, m := range machines {
		all = append(all, m.Owner.ClaimUID)
	}
	return all
}

// sweep is one look: what the cloud and the cluster say, at a time after the first.
type sweep struct {
	after    time.Duration
	machines []node.Observed
	claims   []string
	// want are the machines that it removes; held is how many it leaves alone, by cause.
	want []string
	held map[string]int
}

func first(machines []node.Observed, claims ...string) sweep {
	return sweep{machines: machines, claims: claims, held: map[string]int{whyFirst: len(machines) - len(claims)}}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	one, beside := old("k1"), old("k2")
	pair := []node.Observed{one, beside}
	const other = "uid-k2"
	for name, sweeps := range map[string][]sweep{
		"a machine with a claim stays": {{machines: pair[:1], claims: []string{"uid-k1"}}, {after: time.Hour, machines: pair[:1], claims: []string{"uid-k1"}}},
		"one without is removed at the second sweep": {
			first(pair, other),
			{after: 2 * time.Minute, machines: pair, claims: []string{other}, want: []string{"k1"}},
		},
		"it is removed again while it is still there, and left alone once it goes": {
			first(pair, other),
			{after: 2 * time.Minute, machines: pair, claims: []string{other}, want: []string{"k1"}},
			{after: 4 * time.Minute, machines: pair, claims: []string{other}, want: []string{"k1"}},
			{after: 6 * time.Minute, machines: []node.Observed{old("k1", in(node.Deleting)), beside}, claims: []string{other}},
		},
		"a claim that came back in between starts the count again": {
			first(pair, other),
			{after: 2 * time.Minute, machines: pair, claims: []string{"uid-k1", other}},
			{after: 4 * time.Minute, machines: pair, claims: []string{other}, held: map[string]int{whyFirst: 1}},
		},
		"a machine that was gone in between, too": {
			first(pair, other),
			{after: 2 * time.Minute, machines: pair[1:], claims: []string{other}},
			{after: 4 * time.Minute, machines: pair, claims: []string{other}, held: map[string]int{whyFirst: 1}},
		},
		"a key whose owner changed is another machine": {
			first(pair, other),
			{after: 2 * time.Minute, machines: []node.Observed{old("k1", owned("c", "uid-new")), beside}, claims: []string{other}, held: map[string]int{whyFirst: 1}},
		},
		"one of ten minutes is too young, by the cloud's clock": {
			first([]node.Observed{old("k1", made(begin.Add(-6*time.Minute))), beside}, other),
			{after: 4 * time.Minute, machines: []node.Observed{old("k1", made(begin.Add(-6*time.Minute))), beside}, claims: []string{other}, held: map[string]int{whyYoung: 1}},
			{after: 6 * time.Minute, machines: []node.Observed{old("k1", made(begin.Add(-6*time.Minute))), beside}, claims: []string{other}, want: []string{"k1"}},
		},
		"one of unknown age is never removed": {
			first([]node.Observed{old("k1", made(time.Time{})), beside}, other),
			{after: 2 * time.Minute, machines: []node.Observed{old("k1", made(time.Time{})), beside}, claims: []string{other}, held: map[string]int{whyAge: 1}},
			{after: 24 * time.Hour, machines: []node.Observed{old("k1", made(time.Time{})), beside}, claims: []string{other}, held: map[string]int{whyAge: 1}},
		},
		"nor one that was made in the future": {
			first([]node.Observed{old("k1", made(begin.Add(time.Hour))), beside}, other),
			{after: 2 * time.Minute, machines: []node.Observed{old("k1", made(begin.Add(time.Hour))), beside}, claims: []string{other}, held: map[string]int{whyAge: 1}},
		},
		"sweeps that follow at once count once: our clock jumped": {
			first(pair, other),
			{after: time.Second, machines: pair, claims: []string{other}, held: map[string]int{whyFirst: 1}},
			{after: 2 * time.Second, machines: pair, claims: []string{other}, held: map[string]int{whyFirst: 1}},
		},
		"so does an old answer, and a cloud's clock that goes back starts the count again": {
			first(pair, other),
			{machines: pair, claims: []string{other}, held: map[string]int{whyFirst: 1}},
			{after: -time.Hour, machines: []node.Observed{old("k1", made(begin.Add(-9*time.Hour))), beside}, claims: []string{other}, held: map[string]int{whyFirst: 1}},
		},
		"machines of another cluster, of nobody, and those that go are nothing to us": {
			{machines: []node.Observed{old("k1", owned("d", "u")), old("k3", owned("", "u")), old("k4", owned("c", "")), old("k5", in(node.Deleting))}},
			{after: time.Hour, machines: []node.Observed{old("k1", owned("d", "u")), old("k3", owned("", "u")), old("k4", owned("c", "")), old("k5", in(node.Deleting))}},
		},
		"what is Failed or still Creating costs money too": {
			first([]node.Observed{old("k1", in(node.Failed)), old("k2"), old("k3"), old("k4", in(node.Creating))}, "uid-k2", "uid-k3"),
			{
				after: 2 * time.Minute, machines: []node.Observed{old("k1", in(node.Failed)), old("k2"), old("k3"), old("k4", in(node.Creating))},
				claims: []string{"uid-k2", "uid-k3"}, want: []string{"k1", "k4"},
			},
		},
		"all claims vanish: nothing for an hour, then five at a time": {
			first(many(30)),
			{after: 2 * time.Minute, machines: many(30), held: map[string]int{whyMass: 30}},
			{after: 58 * time.Minute, machines: many(30), held: map[string]int{whyMass: 30}},
			{after: 60 * time.Minute, machines: many(30), want: []string{"k000", "k001", "k002", "k003", "k004"}, held: map[string]int{whyLimit: 25}},
			{after: 62 * time.Minute, machines: many(30)[5:], want: []string{"k005", "k006", "k007", "k008", "k009"}, held: map[string]int{whyLimit: 20}},
		},
		"the claims come back within the hour: nothing was lost": {
			first(many(30)),
			{after: 30 * time.Minute, machines: many(30), held: map[string]int{whyMass: 30}},
			{after: 32 * time.Minute, machines: many(30), claims: uids(many(30))},
		},
		"two of two are a mass as well; one of one is not": {
			first(pair),
			{after: 2 * time.Minute, machines: pair, held: map[string]int{whyMass: 2}},
			{after: 4 * time.Minute, machines: pair[:1], want: []string{"k1"}},
		},
		"a tenth of many at a time": {
			{machines: many(200), claims: uids(many(200)[40:]), held: map[string]int{whyFirst: 40}},
			{after: 2 * time.Minute, machines: many(200), claims: uids(many(200)[40:]), want: keys(many(20)), held: map[string]int{whyLimit: 20}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := sightings{}
			for i, s := range sweeps {
				claimed := map[string]bool{}
				for _, uid := range s.claims {
					claimed[uid] = true
				}
				v := judge("c", node.Listing{Now: begin.Add(s.after), Machines: s.machines}, claimed, seen, Defaults())
				seen = v.seen
				if diff := cmp.Diff(s.want, keys(v.remove)); diff != "" {
					t.Errorf("sweep %d removes (-want +got):\n%s", i+1, diff)
				}
				got := map[string]int{}
				for _, h := range v.held {
					got[h.why]++
				}
				if s.held == nil {
					s.held = map[string]int{}
				}
				if diff := cmp.Diff(s.held, got); diff != "" {
					t.Errorf("sweep %d holds (-want +got):\n%s", i+1, diff)
				}
			}
		})
	}
}

func keys(machines []node.Observed) []string {
	var all []string
	for _, m := range machines {
		all = append(all, string(m.Key))
	}
	slices.Sort(all)
	return all
}

func TestADryRunRemovesNothingAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	options := Defaults()
	options.DryRun = true
	seen := sightings{}
	news := 0
	for i := range 5 {
		now := begin.Add(time.Duration(i) * options.Every)
		v := judge("c", node.Listing{Now: now, Machines: many(1)}, nil, seen, options)
		seen = v.seen
		if len(v.remove) > 0 {
			t.Errorf("sweep %d removes %v", i+1, keys(v.remove))
		}
		for _, h := range v.held {
			if h.why == whyDry && h.news {
				news++
			}
		}
	}
	if news != 1 {
		t.Errorf("the dry run spoke %d times, want once", news)
	}
}

func TestEveryMachineThatAPersonShouldHearOfHasWords(t *testing.T) {
	t.Parallel()
	said := map[string]string{}
	for _, why := range causes() {
		if !spoken(why) {
			continue
		}
		note := heldNote(held{machine: old("k1"), why: why}, Defaults())
		if before, twice := said[note]; twice {
			t.Errorf("%s and %s say the same: %s", before, why, note)
		}
		said[note] = why
	}
	if len(said) != 3 {
		t.Errorf("%d causes are spoken of, want 3: %v", len(said), said)
	}
}
