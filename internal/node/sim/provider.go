package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kaito.sh/kaito/internal/node"
)

// Provider is one process's view of a Cloud.
type Provider struct {
	cloud *Cloud
	// silent is until when it was told to be silent; the cloud's lock guards it.
	silent time.Time
}

var _ node.Provider = (*Provider)(nil)

// Provider starts a new process of the provider, which remembers nothing.
func (c *Cloud) Provider() *Provider { return &Provider{cloud: c} }

// call is what happens to every call; the lock is held.
func (p *Provider) call(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, now := p.cloud, p.cloud.o.Clock.Now()
	c.pass()
	if left := p.silent.Sub(now); left > 0 {
		return throttled(left)
	}
	if c.hit(Unreachable) {
		return &node.Error{Class: node.Transient, Code: "Timeout", Message: "The cloud does not answer."}
	}
	c.calls++
	switch {
	case c.hit(Throttled):
		p.silent = now.Add(throttleTime)
		return throttled(throttleTime)
	case c.hit(Refused):
		return &node.Error{
			Class: node.Auth, Code: "AuthorizationFailed", Message: "The identity may not do this.", Fix: "Give the provisioner's identity its role.",
		}
	case c.hit(NoCluster):
		return &node.Error{Class: node.NotFound, Code: "ResourceNotFound", Message: "The cluster is not there.", Fix: "Check the name of the cluster."}
	default:
		return nil
	}
}

func throttled(left time.Duration) *node.Error {
	return &node.Error{Class: node.Throttled, Code: "TooManyRequests", Message: "Too many calls.", RetryAfter: left}
}

// Ensure asks for a machine, unless one of the key is there.
func (p *Provider) Ensure(ctx context.Context, r node.Request) (node.Observed, error) {
	c := p.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := p.call(ctx); err != nil {
		return node.Observed{}, err
	}
	m := c.machines[r.Key]
	if m == nil {
		if refusal := c.refusal(r.Offer); refusal != nil {
			refusal.Tried = "make the machine " + string(r.Key)
			return node.Observed{}, refusal
		}
		m = c.make(r)
		if c.hit(AnswerLost) {
			return node.Observed{}, lost()
		}
	}
	if err := owned(m, r.Owner); err != nil {
		return node.Observed{}, err
	}
	return c.observed(m), nil
}

// Observe looks at one machine.
func (p *Provider) Observe(ctx context.Context, key node.Key, _ string) (node.Observed, error) {
	c := p.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := p.call(ctx); err != nil {
		return node.Observed{}, err
	}
	if m := c.machines[key]; m != nil {
		return c.observed(m), nil
	}
	return node.Observed{Key: key, State: node.Absent}, nil
}

// List is everything with the cluster's mark.
func (p *Provider) List(ctx context.Context, cluster string) (node.Listing, error) {
	c := p.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := p.call(ctx); err != nil {
		return node.Listing{}, err
	}
	l := node.Listing{Now: c.o.Clock.Now()}
	for _, m := range c.machines {
		if m.owner.Cluster == cluster && cluster != "" {
			l.Machines = append(l.Machines, c.observed(m))
		}
	}
	return l, nil
}

// Remove removes a machine of that owner.
func (p *Provider) Remove(ctx context.Context, key node.Key, owner node.Owner) (node.Observed, error) {
	c := p.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := p.call(ctx); err != nil {
		return node.Observed{}, err
	}
	m := c.machines[key]
	if m == nil {
		return node.Observed{Key: key, State: node.Absent}, nil
	}
	if err := owned(m, owner); err != nil {
		return node.Observed{}, err
	}
	if !m.removing {
		if c.hit(Busy) {
			return node.Observed{}, busy()
		}
		m.removing, m.ends, m.slow = true, c.o.Clock.Now().Add(c.o.Delays.Remove), c.hit(DeletionSlow)
		if c.hit(AnswerLost) {
			return node.Observed{}, lost()
		}
	}
	c.pass()
	if c.machines[key] == nil {
		return node.Observed{Key: key, State: node.Absent}, nil
	}
	return c.observed(m), nil
}

// Reboot starts a machine again: its node is ready again after a while.
func (p *Provider) Reboot(ctx context.Context, key node.Key, owner node.Owner) error {
	c := p.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := p.call(ctx); err != nil {
		return err
	}
	m := c.machines[key]
	if m == nil {
		return &node.Error{Class: node.NotFound, Message: fmt.Sprintf("There is no machine %s.", key), Fix: "Make it again."}
	}
	if err := owned(m, owner); err != nil {
		return err
	}
	if c.state(m) == node.Ready && !m.joins.IsZero() {
		c.boot(m, c.o.Clock.Now())
		m.shown = unseen
	}
	return nil
}

// Classify understands its own errors alone: it has no client that could have others.
func (p *Provider) Classify(err error) *node.Error {
	var own *node.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	default:
		return &node.Error{Class: node.Transient, Message: err.Error(), Err: err}
	}
}

// owned says that a machine is somebody else's, if it is.
func owned(m *machine, owner node.Owner) error {
	if m.owner.Cluster == owner.Cluster && m.owner.ClaimUID == owner.ClaimUID && owner.ClaimUID != "" {
		return nil
	}
	return &node.Error{
		Class: node.Exists, Code: "Exists", Message: fmt.Sprintf("The machine %s belongs to somebody else.", m.key),
		Fix: "Remove it by hand if nobody needs it.",
	}
}

func lost() *node.Error {
	return &node.Error{Class: node.Transient, Code: "ConnectionReset", Message: "The connection broke before the answer."}
}

// observed is what the cloud tells of a machine; the lock is held.
func (c *Cloud) observed(m *machine) node.Observed {
	o := node.Observed{Key: m.key, State: c.state(m), Owner: m.owner, Offer: m.offer, CreatedAt: m.asked}
	if o.State == node.Failed {
		o.Failure = m.failure
	}
	if o.State == node.Ready {
		o.NodeLabels = map[string]string{Label: string(m.key)}
		if !c.o.HideProviderID {
			o.ProviderID = providerID(m.key)
		}
	}
	if c.o.Tokens {
		o.Token = fmt.Sprintf("%s/%d", m.key, m.serial)
	}
	return o
}

func providerID(key node.Key) string { return "sim://" + string(key) }

func nodeName(key node.Key) string { return "sim-" + string(key) }
