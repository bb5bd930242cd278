package aks

import (
	"context"
	"time"

	"kaito.sh/kaito/internal/node"
)

// snapshot is the list of pools that all claims share. Only the holder of turn reads or
// writes the rest.
type snapshot struct {
	turn chan struct{}
	*listed
}

type listed struct {
	pools map[node.Key]*pool
	// began is when the call began by our clock, at when it was answered by Azure's.
	began, at time.Time
	// failure is how the newest call ended if not well, failed when.
	failure *node.Error
	failed  time.Time
}

// failureTTL is how long a failed list answers for all: a thousand claims must not each try.
const failureTTL = 5 * time.Second

func newSnapshot() snapshot { return snapshot{turn: make(chan struct{}, 1), listed: &listed{}} }

// snapshot is the list of pools, at most TTL old. It is never changed after it was made.
func (p *Provider) snapshot(ctx context.Context) (map[node.Key]*pool, time.Time, error) {
	select {
	case p.list.turn <- struct{}{}:
		defer func() { <-p.list.turn }()
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
	now := p.o.Clock.Now()
	if p.list.pools != nil && now.Sub(p.list.began) < p.o.TTL {
		return p.list.pools, p.list.at, nil
	}
	if p.list.failure != nil && now.Sub(p.list.failed) < failureTTL {
		failure := *p.list.failure
		return nil, time.Time{}, &failure
	}
	pools, err := p.listAll(ctx)
	if err != nil {
		err = p.fail(ctx, err, "list the agent pools of the cluster "+p.o.Cluster, node.Offer{})
		if e, ours := err.(*node.Error); ours { //nolint:errorlint // fail gives either ours or the context's
			p.list.failure, p.list.failed = e, now
		}
		return nil, time.Time{}, err
	}
	*p.list.listed = listed{pools: pools, began: now, at: p.wire.now()}
	return pools, p.list.at, nil
}

// listAll is one list of all pools of the cluster.
func (p *Provider) listAll(ctx context.Context) (map[node.Key]*pool, error) {
	pools := map[node.Key]*pool{}
	pager := p.pools.NewListPager(p.o.Group, p.o.Cluster, nil)
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, one := range page.Value {
			if one != nil && one.Name != nil && one.Properties != nil {
				pools[node.Key(*one.Name)] = one
			}
		}
	}
	return pools, nil
}
