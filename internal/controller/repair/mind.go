package repair

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"kaito.sh/kaito/internal/nodeclaim"
)

// chart is what is remembered of a faulty node. A restart forgets it: then every fault is
// borne once more, and no machine is replaced too early.
type chart struct {
	uid types.UID
	// since is when a fault was first seen, without a good moment since then.
	since time.Time
	// looked is when the cloud was last asked, and silent why it did not answer.
	looked time.Time
	silent string
	// lost is how often in a row the cloud had no such machine.
	lost int
	// rebooted is when the machine was rebooted.
	rebooted time.Time
	// held is why nothing is done, as it was last said.
	held string
}

// mind holds the charts of all faulty nodes by the claim's name. One pass at a time uses it.
type mind struct {
	clock  clock.PassiveClock
	charts map[string]*chart
}

func newMind(c clock.PassiveClock) *mind { return &mind{clock: c, charts: map[string]*chart{}} }

// of is the chart of a claim, which begins now if there is none.
func (m *mind) of(claim *nodeclaim.NodeClaim) *chart {
	c := m.charts[claim.Name]
	if c == nil || c.uid != claim.UID {
		c = &chart{uid: claim.UID, since: m.clock.Now()}
		m.charts[claim.Name] = c
	}
	return c
}

func (m *mind) forget(name string) {
	delete(m.charts, name)
}

// rebooting are the claims whose machines were rebooted less than this ago and are not good yet.
func (m *mind) rebooting(within time.Duration) map[types.UID]bool {
	all := map[types.UID]bool{}
	for _, c := range m.charts {
		if !c.rebooted.IsZero() && m.clock.Since(c.rebooted) < within {
			all[c.uid] = true
		}
	}
	return all
}
