package armemulator

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"
)

// operationsVersion is the API version in the addresses of operations, which is not that
// of the call that began them.
const operationsVersion = "2016-03-30"

// kept is how long a finished operation can still be asked for.
const kept = 24 * time.Hour

// settle ends the operations that are ready to; mu is held.
func (e *Emulator) settle(now time.Time) {
	changed := false
	for again := true; again; {
		again = false
		for _, id := range slices.Sorted(maps.Keys(e.state.Operations)) {
			op := e.state.Operations[id]
			switch {
			case op.Status == stateRunning && e.ready(op, now):
				e.finish(op, now)
				again, changed = true, true
			case op.Status != stateRunning && now.Sub(op.End) > kept:
				delete(e.state.Operations, id)
			}
		}
	}
	if changed {
		e.save()
	}
}

func (e *Emulator) ready(op *operation, now time.Time) bool {
	target := e.state.Operations[op.Aborts]
	return !op.Stuck && op.Waiting == 0 && !now.Before(op.NotBefore) && (target == nil || target.Status != stateRunning)
}

// finish ends one; mu is held.
func (e *Emulator) finish(op *operation, now time.Time) {
	op.End, op.Status = now, stateSucceeded
	if op.Failure != nil {
		op.Status = stateFailed
	}
	p := e.state.Pools[op.Pool]
	if p == nil || p.Operation != op.ID {
		op.Status = stateCanceled // another one took over
		return
	}
	p.Operation, p.ETag = "", e.unique()
	switch {
	case op.Status == stateFailed:
		p.State = stateFailed
		// What did not leave is still the pool's, and goes with it.
		p.Machines = append(p.Machines, op.Leaving...)
	case op.Does == stateDeleting:
		delete(e.state.Pools, p.Name)
	case op.Aborts != "":
		p.State = stateCanceled
	default:
		p.State = stateSucceeded
	}
	e.o.Log.Info("operation ended", "pool", op.Pool, "did", op.Does, "status", op.Status)
}

// booted is told when a machine was made, or will not be.
func (e *Emulator) booted(id, node string) func(error) {
	return func(err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		op := e.state.Operations[id]
		if op == nil {
			return
		}
		op.Waiting--
		p := e.state.Pools[op.Pool]
		switch {
		case err != nil && op.Failure == nil && !errors.Is(err, ErrGivenUp):
			op.Failure = e.say("boot-failed", "pool", op.Pool, "details", err.Error()).failure()
		case err == nil && p != nil:
			for i := range p.Machines {
				p.Machines[i].Booted = p.Machines[i].Booted || p.Machines[i].Node == node
			}
		}
		e.save()
	}
}

// gone is told when a machine was removed, or could not be.
func (e *Emulator) gone(id, node string) func(error) {
	return func(err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		op := e.state.Operations[id]
		if op == nil {
			return
		}
		op.Waiting--
		p := e.state.Pools[op.Pool]
		switch {
		case err != nil && op.Failure == nil:
			op.Failure = e.say("remove-failed", "pool", op.Pool, "details", err.Error()).failure()
		case err == nil && p != nil:
			p.Machines, op.Leaving = without(p.Machines, node), without(op.Leaving, node)
		}
		e.save()
	}
}

func without(machines []Machine, node string) []Machine {
	return slices.DeleteFunc(slices.Clone(machines), func(m Machine) bool { return m.Node == node })
}

// resume goes on with what was under way when the state was written.
func (e *Emulator) resume() {
	var effects []func()
	e.mu.Lock()
	for _, id := range slices.Sorted(maps.Keys(e.state.Operations)) {
		op := e.state.Operations[id]
		p := e.state.Pools[op.Pool]
		if op.Status != stateRunning || p == nil || op.Stuck || op.Failure != nil {
			op.Waiting = 0
			continue
		}
		op.Waiting = 0
		leaving := op.Leaving
		if op.Does == stateDeleting {
			leaving = p.Machines
		}
		effects = append(effects, e.deletions(op, leaving)...)
		for _, m := range p.Machines {
			if !m.Booted && op.Does != stateDeleting {
				op.Waiting++
				effects = append(effects, func() { e.o.Machines.Create(m, e.booted(op.ID, m.Node)) })
			}
		}
	}
	e.mu.Unlock()
	for _, effect := range effects {
		effect()
	}
}

// poll tells how an operation stands, or its result.
func (e *Emulator) poll(c *call) reply {
	pending := e.strike(c, DoPending) != nil
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settle(e.o.Clock.Now())
	op := e.state.Operations[c.operation]
	if op == nil {
		refused := e.say("operation-not-found")
		e.state.Counts.Rejected[refused.Code]++
		return refused.reply()
	}
	status := op.Status
	if pending {
		status = stateRunning
	}
	if c.result {
		return e.result(c, op, status)
	}
	body := map[string]any{"name": op.ID, "status": status, "startTime": op.Start.UTC().Format(time.RFC3339Nano)}
	out := reply{status: http.StatusOK, header: http.Header{}, body: body}
	if status == stateRunning {
		if e.o.RetryAfter > 0 {
			out.header.Set("Retry-After", seconds(e.o.RetryAfter))
		}
		return out
	}
	body["endTime"] = op.End.UTC().Format(time.RFC3339Nano)
	if op.Failure != nil && status != stateSucceeded {
		body["error"] = op.Failure
	}
	return out
}

// result is the address of Location: 202 until the operation is over, then what came of it.
func (e *Emulator) result(c *call, op *operation, status string) reply {
	p := e.state.Pools[op.Pool]
	switch {
	case status == stateRunning:
		out := e.accepted(c, op, http.StatusAccepted, nil)
		out.header.Del("Azure-AsyncOperation")
		return out
	case status == stateFailed:
		return reply{status: http.StatusConflict, body: map[string]any{"error": op.Failure}}
	case p != nil && (op.Does == stateCreating || op.Does == stateUpdating || op.Does == stateScaling):
		return reply{status: http.StatusOK, body: e.poolBody(p)}
	}
	return reply{status: http.StatusNoContent}
}
