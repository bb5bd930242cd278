package aks

import (
	"context"
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"

	"kaito.sh/kaito/internal/node"
)

type creation = runtime.Poller[armcontainerservice.AgentPoolsClientCreateOrUpdateResponse]

// Ensure asks for a machine; see node.Provider. There is never a PUT without a look before.
func (p *Provider) Ensure(ctx context.Context, r node.Request) (node.Observed, error) {
	if err := ctx.Err(); err != nil {
		return node.Observed{}, err
	}
	unlock, err := p.keys.lock(ctx, r.Key)
	if err != nil {
		return node.Observed{}, err
	}
	defer unlock()
	o, err := p.look(ctx, r.Key, r.Token)
	if err != nil || o.State != node.Absent {
		return p.ours(o, r.Owner, err)
	}
	if err := p.create(ctx, r); err != nil {
		return node.Observed{}, err
	}
	one, err := p.find(ctx, r.Key)
	if err != nil {
		return node.Observed{}, err
	}
	return p.ours(p.settled(r.Key, one), r.Owner, nil)
}

// ours lets an answer pass if the machine is the owner's, or nobody's yet.
func (p *Provider) ours(o node.Observed, owner node.Owner, err error) (node.Observed, error) {
	if err != nil {
		return node.Observed{}, err
	}
	bare := o.State == node.Absent || o.Owner == (node.Owner{}) && o.Offer.InstanceType == ""
	if !bare && !same(o.Owner, owner) {
		return node.Observed{}, strange(o, "create the agent pool "+string(o.Key))
	}
	return o, nil
}

// same says whether two owners are one. The claim's name is for people.
func same(a, b node.Owner) bool {
	return a.Cluster == b.Cluster && a.ClaimUID == b.ClaimUID && a.Cluster != "" && a.ClaimUID != ""
}

// strange is the error about a pool that is not ours.
func strange(o node.Observed, tried string) *node.Error {
	whose := "has no mark of an owner"
	if o.Owner != (node.Owner{}) {
		whose = "belongs to the claim " + o.Owner.ClaimName + " (UID " + o.Owner.ClaimUID + ") of the cluster " + o.Owner.Cluster
	}
	return &node.Error{
		Class: node.Exists, Message: "There is an agent pool " + string(o.Key) + " already, and it " + whose,
		Fix: "Remove the agent pool " + string(o.Key) + " by hand if nobody needs it; it is not touched from here.", Tried: tried,
	}
}

// create sends the PUT and keeps what resumes its operation.
func (p *Provider) create(ctx context.Context, r node.Request) error {
	tried := "create the agent pool " + string(r.Key)
	asked, err := p.body(r, p.wire.now())
	if err != nil {
		return err
	}
	p.o.Log.Info("asked for an agent pool", "pool", r.Key, "claim", r.Owner.ClaimName, "type", r.Offer.InstanceType, "capacity", r.Offer.CapacityType, "zone", r.Offer.Zone)
	poller, err := p.pools.BeginCreateOrUpdate(ctx, p.o.Group, p.o.Cluster, string(r.Key), asked,
		&armcontainerservice.AgentPoolsClientBeginCreateOrUpdateOptions{IfNoneMatch: to.Ptr("*")})
	now := p.o.Clock.Now()
	var re *azcore.ResponseError
	switch {
	case errors.As(err, &re) && re.StatusCode == http.StatusPreconditionFailed:
		// Somebody was faster; the look that follows tells who.
		p.notes.edit(r.Key, now, func(n *note) { *n = note{} })
		return nil
	case err != nil:
		return p.fail(ctx, err, tried, r.Offer)
	}
	begun := note{pool: &asked, until: now.Add(p.o.TTL)}
	if begun.operation, err = poller.ResumeToken(); err != nil {
		begun = note{over: true} // it is over already; the look that follows tells how
	} else {
		asked.Properties.ProvisioningState = to.Ptr(stateCreating)
	}
	p.notes.edit(r.Key, now, func(n *note) { *n = begun })
	return nil
}

// outcome is how a creation ended that is over.
func (p *Provider) outcome(ctx context.Context, key node.Key, poller *creation) (running bool, failure *node.Error, err error) {
	now := p.o.Clock.Now()
	_, err = poller.Result(ctx)
	var re *azcore.ResponseError
	switch {
	case err == nil, p.noPool(err): // it was made, and may have been removed since
		p.notes.edit(key, now, func(n *note) { n.operation, n.over = "", true })
		return false, nil, nil
	case errors.As(err, &re) && re.StatusCode == http.StatusOK:
		// An operation that failed is a successful answer about it.
		offer := node.Offer{}
		if one := p.notes.get(key).pool; one != nil {
			offer = p.observed(key, one).Offer
		} else if pools, _, err := p.snapshot(ctx); err == nil && pools[key] != nil {
			offer = p.observed(key, pools[key]).Offer
		}
		cause := p.understand(err, offer)
		cause.Tried = "create the agent pool " + string(key)
		p.notes.edit(key, now, func(n *note) { n.cause = cause })
		return false, cause, nil
	default:
		return false, nil, p.fail(ctx, err, "ask about the creation of the agent pool "+string(key), node.Offer{})
	}
}

// Remove removes a machine; see node.Provider. It acts on how the pool stands now, and on
// that version of it alone.
func (p *Provider) Remove(ctx context.Context, key node.Key, owner node.Owner) (node.Observed, error) {
	if err := ctx.Err(); err != nil {
		return node.Observed{}, err
	}
	unlock, err := p.keys.lock(ctx, key)
	if err != nil {
		return node.Observed{}, err
	}
	defer unlock()
	tried := "remove the agent pool " + string(key)
	one, err := p.fetch(ctx, key)
	if err != nil {
		return node.Observed{}, err
	}
	if one == nil {
		// The list must be readable too: a cluster that is not found is not a pool that is gone.
		if _, _, err := p.snapshot(ctx); err != nil {
			return node.Observed{}, err
		}
		p.notes.edit(key, p.o.Clock.Now(), func(n *note) { *n = note{over: true} })
		return node.Observed{Key: key, State: node.Absent}, nil
	}
	o := p.observed(key, one)
	if !same(o.Owner, owner) {
		return node.Observed{}, strange(o, tried)
	}
	if o.State == node.Deleting {
		return o, nil
	}
	return p.remove(ctx, one, o)
}

// remove sends the DELETE, and gives up a creation that stands in its way.
func (p *Provider) remove(ctx context.Context, one *pool, o node.Observed) (node.Observed, error) {
	tried := "remove the agent pool " + string(o.Key)
	p.o.Log.Info("removed an agent pool", "pool", o.Key, "claim", o.Owner.ClaimName, "state", value(one.Properties.ProvisioningState))
	options := &armcontainerservice.AgentPoolsClientBeginDeleteOptions{
		IfMatch: one.Properties.ETag,
		// What may be evicted was evicted before the claim let go of its node.
		IgnorePodDisruptionBudget: to.Ptr(true),
	}
	_, err := p.pools.BeginDelete(ctx, p.o.Group, p.o.Cluster, string(o.Key), options)
	now := p.o.Clock.Now()
	switch {
	case err == nil, p.noPool(err):
		leaving := *one
		properties := *one.Properties
		properties.ProvisioningState = to.Ptr(stateDeleting)
		leaving.Properties = &properties
		p.notes.edit(o.Key, now, func(n *note) {
			*n = note{over: true, pool: &leaving, until: now.Add(p.o.TTL)}
		})
		return p.observed(o.Key, &leaving), nil
	}
	failure := p.fail(ctx, err, tried, o.Offer)
	var e *node.Error
	if !errors.As(failure, &e) {
		return node.Observed{}, failure
	}
	p.notes.edit(o.Key, now, func(n *note) { n.until = now }) // look again
	if e.Class == node.Conflict && value(one.Properties.ProvisioningState) == stateCreating {
		return node.Observed{}, p.abort(ctx, o, e)
	}
	return node.Observed{}, e
}

// abort gives up the creation of a pool. The removal is to be asked for again.
func (p *Provider) abort(ctx context.Context, o node.Observed, busy *node.Error) error {
	_, err := p.pools.BeginAbortLatestOperation(ctx, p.o.Group, p.o.Cluster, string(o.Key), nil)
	if err == nil {
		p.o.Log.Info("gave up the creation of an agent pool", "pool", o.Key, "claim", o.Owner.ClaimName)
		busy.Message = "The creation of the agent pool " + string(o.Key) + " is being given up first"
		return busy
	}
	failure := p.fail(ctx, err, "give up the creation of the agent pool "+string(o.Key), o.Offer)
	var e *node.Error
	if errors.As(failure, &e) && (e.Class == node.NotFound || e.Class == node.Invalid || e.Class == node.Unsupported) {
		return busy // Azure does not let it be given up: it has to come to its end
	}
	return failure
}

// Reboot cannot be done: a pool's machines are started again by their scale set, on which the
// provisioner's role has no rights.
func (p *Provider) Reboot(_ context.Context, key node.Key, _ node.Owner) error {
	return &node.Error{
		Class: node.Unsupported, Message: "A machine of an agent pool cannot be started again from here", Fix: "Replace it.",
		Tried: "start the machine of the agent pool " + string(key) + " again",
	}
}
