package aks

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"

	"kaito.sh/kaito/internal/node"
)

// Observe looks at one machine; see node.Provider. It costs at most one poll of a running
// creation, and a share of the list.
func (p *Provider) Observe(ctx context.Context, key node.Key, token string) (node.Observed, error) {
	if err := ctx.Err(); err != nil {
		return node.Observed{}, err
	}
	return p.look(ctx, key, token)
}

// List is everything with the cluster's mark; see node.Provider.
func (p *Provider) List(ctx context.Context, cluster string) (node.Listing, error) {
	pools, now, err := p.snapshot(ctx)
	if err != nil {
		return node.Listing{}, err
	}
	l := node.Listing{Now: now}
	add := func(key node.Key, one *pool) {
		o := p.explained(key, one)
		if o.Owner.Cluster != cluster || cluster == "" {
			return
		}
		if !now.IsZero() && o.CreatedAt.After(l.Now) {
			l.Now = o.CreatedAt // asked for after the list was made, by Azure's clock too
		}
		l.Machines = append(l.Machines, o)
	}
	believed := p.notes.believed(p.o.Clock.Now())
	for key, one := range pools {
		if _, better := believed[key]; !better {
			add(key, one)
		}
	}
	for key, one := range believed {
		add(key, one.pool)
	}
	return l, nil
}

// look finds a machine and how it stands.
func (p *Provider) look(ctx context.Context, key node.Key, kept string) (node.Observed, error) {
	p.adopt(key, kept)
	one, err := p.find(ctx, key)
	if err != nil {
		return node.Observed{}, err
	}
	n := p.notes.get(key)
	if n.operation == "" || one != nil && !undecided(one, n) {
		return p.settled(key, one), nil
	}
	if n.waits(one, p.o.Clock.Now()) {
		return p.underWay(key, one, n), nil
	}
	running, failure, err := p.poll(ctx, key, n)
	switch {
	case err != nil:
		return node.Observed{}, err
	case running:
		return p.underWay(key, one, n), nil
	case failure != nil && one == nil:
		return node.Observed{Key: key, State: node.Failed, Failure: failure}, nil
	case failure != nil:
		return p.explained(key, one), nil
	}
	// The creation is over: the pool itself says how it ended.
	if one, err = p.fetch(ctx, key); err != nil {
		return node.Observed{}, err
	}
	return p.settled(key, one), nil
}

// underWay is the answer while a creation runs, of whose pool nothing may be seen yet.
func (p *Provider) underWay(key node.Key, one *pool, n note) node.Observed {
	if one == nil {
		return node.Observed{Key: key, State: node.Creating, Token: token{key, n.operation}.write()}
	}
	return p.explained(key, one)
}

// undecided says whether the creation's operation can tell more than the pool.
func undecided(one *pool, n note) bool {
	s := state(value(one.Properties.ProvisioningState))
	return s == node.Creating || s == node.Failed && n.cause == nil
}

// waits says whether it is too early to ask about the creation again.
func (n note) waits(one *pool, now time.Time) bool {
	return now.Before(n.pollAt) && (one == nil || state(value(one.Properties.ProvisioningState)) == node.Creating)
}

// adopt takes up a token that was kept, unless this process knows better.
func (p *Provider) adopt(key node.Key, kept string) {
	op := operation(kept, key)
	if op == "" {
		return
	}
	if n := p.notes.get(key); n.operation == "" && !n.over {
		p.notes.edit(key, p.o.Clock.Now(), func(n *note) { n.operation = op })
	}
}

// settled is the answer about a pool that nobody need be asked about, or none.
func (p *Provider) settled(key node.Key, one *pool) node.Observed {
	if one == nil {
		return node.Observed{Key: key, State: node.Absent}
	}
	return p.explained(key, one)
}

// explained is what a pool says, with what else is known of its creation.
func (p *Provider) explained(key node.Key, one *pool) node.Observed {
	o, n := p.observed(key, one), p.notes.get(key)
	if o.State == node.Creating && n.cause != nil {
		o.State = node.Failed
	}
	switch o.State {
	case node.Creating:
		o.Token = token{key, n.operation}.write()
	case node.Failed:
		o.Token = token{key, n.operation}.write()
		if o.Failure = n.cause; o.Failure == nil {
			o.Failure = &node.Error{
				Class: node.Transient, Code: value(one.Properties.ProvisioningState), Tried: "create the agent pool " + string(key),
				Message: "The agent pool is " + value(one.Properties.ProvisioningState) + ", and Azure no longer says why",
				Fix:     "Look for the agent pool in the activity log of the cluster " + p.o.Cluster + ".",
			}
		}
	}
	return o
}

// find is a pool as it is known, nil is none. That there is none is only said by Azure, about
// this very pool, after the cluster's list could be read.
func (p *Provider) find(ctx context.Context, key node.Key) (*pool, error) {
	if n := p.notes.get(key); n.pool != nil && p.o.Clock.Now().Before(n.until) {
		return n.pool, nil
	}
	pools, _, err := p.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if one, there := pools[key]; there {
		return one, nil
	}
	return p.fetch(ctx, key)
}

// fetch asks Azure about one pool, nil is none.
func (p *Provider) fetch(ctx context.Context, key node.Key) (*pool, error) {
	got, err := p.pools.Get(ctx, p.o.Group, p.o.Cluster, string(key), nil)
	now := p.o.Clock.Now()
	switch {
	case p.noPool(err):
		p.notes.edit(key, now, func(n *note) { n.pool = nil })
		return nil, nil //nolint:nilnil // no pool is an answer
	case err != nil:
		return nil, p.fail(ctx, err, "look at the agent pool "+string(key), node.Offer{})
	case got.Properties == nil:
		return nil, &node.Error{Class: node.Transient, Message: "Azure answered without the agent pool's properties", Tried: "look at the agent pool " + string(key)}
	}
	p.believe(key, &got.AgentPool, now)
	return &got.AgentPool, nil
}

// believe remembers a pool that is known better than the list shows, for as long as a list lives.
func (p *Provider) believe(key node.Key, one *pool, now time.Time) {
	p.notes.edit(key, now, func(n *note) { n.pool, n.until = one, now.Add(p.o.TTL) })
}

// noPool says whether an error means that the cluster has no such pool.
func (p *Provider) noPool(err error) bool {
	var re *azcore.ResponseError
	return errors.As(err, &re) && re.StatusCode == http.StatusNotFound && !aboutCluster(re)
}

// poll asks once how a creation goes on, and remembers why it failed. Neither running nor
// failed is that it succeeded, or that nobody knows of it any more.
func (p *Provider) poll(ctx context.Context, key node.Key, n note) (running bool, failure *node.Error, err error) {
	now := p.o.Clock.Now()
	over := func() {
		p.notes.edit(key, now, func(n *note) { n.operation, n.over = "", true })
	}
	poller, err := p.pools.BeginCreateOrUpdate(ctx, p.o.Group, p.o.Cluster, string(key), pool{}, &armcontainerservice.AgentPoolsClientBeginCreateOrUpdateOptions{ResumeToken: n.operation})
	if err != nil || poller.Done() {
		over() // it is not one of Azure's tokens
		return false, nil, ctx.Err()
	}
	resp, err := poller.Poll(ctx)
	switch {
	case err != nil && forgotten(err):
		over()
		return false, nil, nil
	case err != nil:
		return false, nil, p.fail(ctx, err, "ask about the creation of the agent pool "+string(key), node.Offer{})
	case !poller.Done():
		p.notes.edit(key, now, func(n *note) { n.pollAt = now.Add(min(retryAfter(resp.Header), p.o.TTL)) })
		return true, nil, nil
	}
	return p.outcome(ctx, key, poller)
}

// forgotten says whether an operation cannot be asked about and the pool alone can: Azure does
// not know it, it never was Azure's, or the role does not reach it, since operations are at the
// subscription and not at the cluster.
func forgotten(err error) bool {
	var re *azcore.ResponseError
	if errors.As(err, &re) {
		return slices.Contains([]int{http.StatusNotFound, http.StatusGone, http.StatusBadRequest, http.StatusForbidden}, re.StatusCode)
	}
	return errors.Is(err, errElsewhere)
}
