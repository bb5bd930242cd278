package armemulator

import (
	"net/http"
	"strings"
	"time"
)

// change makes the calls that change something: one at a time, first whether it may be,
// then what becomes of it, then its effects on machines.
func (e *Emulator) change(c *call) reply {
	e.changes.Lock()
	defer e.changes.Unlock()
	now := e.o.Clock.Now()
	e.mu.Lock()
	e.settle(now)
	refused := e.admit(c)
	absent := e.state.Pools[c.pool] == nil
	e.mu.Unlock()
	switch {
	case refused != nil:
		return e.refuse(refused)
	case absent && c.verb == VerbDelete:
		return reply{status: http.StatusNoContent}
	}
	d := e.destiny(c)
	e.mu.Lock()
	e.state.Counts.Accepted[c.verb]++
	var out reply
	var effects []func()
	switch c.verb {
	case VerbPut:
		out, effects = e.put(c, d, now)
	case VerbDelete:
		out, effects = e.remove(c, d, now)
	case VerbAbort:
		out, effects = e.abort(c, now)
	default:
		out, effects = e.deleteMachines(c, d, now)
	}
	e.save()
	e.mu.Unlock()
	for _, effect := range effects {
		effect()
	}
	return out
}

// destiny is what faults have in store for an operation.
type destiny struct {
	failure       *failure
	stuck         bool
	noGPU, noNode bool
}

func (e *Emulator) destiny(c *call) destiny {
	var d destiny
	if p := e.strike(c, DoFail, DoStuck); p != nil {
		d.stuck = p.Do == DoStuck
		if !d.stuck {
			d.failure = e.words(p, c).failure()
		}
	}
	if p := e.strike(c, DoNoGPU, DoNoNode); p != nil {
		d.noGPU, d.noNode = p.Do == DoNoGPU, p.Do == DoNoNode
	}
	return d
}

// admit says why a change may not be, nil when it may; mu is held.
func (e *Emulator) admit(c *call) *refusal {
	p := e.state.Pools[c.pool]
	if refused := e.precondition(c, p); refused != nil {
		return refused
	}
	if p == nil && c.verb != VerbPut && c.verb != VerbDelete {
		return e.say("pool-not-found")
	}
	if c.verb == VerbAbort {
		if p.Operation == "" || p.State == stateCanceling {
			return e.say("nothing-to-abort", "pool", p.Name, "state", p.State)
		}
		return nil
	}
	if p != nil && p.Operation != "" {
		return e.say("busy", "pool", p.Name, "state", p.State)
	}
	switch c.verb {
	case VerbPut:
		return e.admitPut(c, p)
	case VerbDeleteMachines:
		return e.admitDeleteMachines(c, p)
	}
	return nil
}

// precondition compares the client's ETags.
func (e *Emulator) precondition(c *call, p *pool) *refusal {
	match, none := c.r.Header.Get("If-Match"), c.r.Header.Get("If-None-Match")
	switch {
	case none == "*" && p != nil:
		return e.say("exists", "pool", p.Name)
	case match == "" || match == "*" && p != nil:
		return nil
	case p == nil && c.verb == VerbDelete:
		return nil
	case p == nil:
		return e.say("no-resource-for-etag")
	case strings.Trim(match, `"`) != p.ETag:
		return e.say("stale-etag", "given", match, "have", p.ETag)
	}
	return nil
}

// started begins an operation on a pool; mu is held.
func (e *Emulator) started(p *pool, does string, d destiny, now time.Time) *operation {
	op := &operation{
		ID: e.unique(), Pool: p.Name, Does: does, Status: stateRunning, Start: now, NotBefore: now.Add(e.o.Pace),
		Failure: d.failure, Stuck: d.stuck,
	}
	e.state.Operations[op.ID] = op
	p.Operation, p.State, p.ETag = op.ID, does, e.unique()
	return op
}

// accepted is the answer to a change, with the addresses that tell how it goes on.
func (e *Emulator) accepted(c *call, op *operation, status int, body any) reply {
	at := func(kind string) string {
		return c.link("/subscriptions/%s/providers/Microsoft.ContainerService/locations/%s/%s/%s?api-version=%s",
			e.o.Subscription, e.o.Region, kind, op.ID, operationsVersion)
	}
	h := http.Header{}
	h.Set("Azure-AsyncOperation", at("operations"))
	h.Set("Location", at("operationresults"))
	if e.o.RetryAfter > 0 {
		h.Set("Retry-After", seconds(e.o.RetryAfter))
	}
	return reply{status: status, header: h, body: body}
}
