package armemulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// remove begins to delete a pool; mu is held.
func (e *Emulator) remove(c *call, d destiny, now time.Time) (reply, []func()) {
	p := e.state.Pools[c.pool]
	op := e.started(p, stateDeleting, d, now)
	out := e.accepted(c, op, http.StatusAccepted, nil)
	if d.failure != nil || d.stuck {
		return out, nil
	}
	return out, e.deletions(op, p.Machines)
}

// abort gives up what is under way; the machines that were not made yet are given up too.
// mu is held.
func (e *Emulator) abort(c *call, now time.Time) (reply, []func()) {
	p := e.state.Pools[c.pool]
	target := e.state.Operations[p.Operation]
	target.Stuck, target.NotBefore = false, now
	target.Failure = e.say("canceled").failure()
	op := e.started(p, stateCanceling, destiny{}, now)
	op.Aborts = target.ID
	var unmade []Machine
	for _, m := range p.Machines {
		if !m.Booted {
			unmade = append(unmade, m)
		}
	}
	return e.accepted(c, op, http.StatusAccepted, nil), e.leave(p, op, unmade)
}

// names are the machines that a call of deleteMachines is about.
func (c *call) names() ([]string, error) {
	var body struct {
		MachineNames []string `json:"machineNames"`
	}
	err := json.Unmarshal(c.body, &body)
	return body.MachineNames, err
}

func (e *Emulator) admitDeleteMachines(c *call, p *pool) *refusal {
	names, err := c.names()
	if err != nil {
		return e.say("body", "details", err.Error())
	}
	if len(names) == 0 {
		return e.say("parameter", "parameter", "machineNames", "details", "at least one machine is required")
	}
	for _, name := range names {
		if !slices.ContainsFunc(p.Machines, func(m Machine) bool { return m.Node == name }) {
			return e.say("machine-not-found", "machine", name, "pool", p.Name)
		}
	}
	return nil
}

// deleteMachines begins to remove single machines, and lowers the count by as many; mu is held.
func (e *Emulator) deleteMachines(c *call, d destiny, now time.Time) (reply, []func()) {
	p := e.state.Pools[c.pool]
	names, _ := c.names() // read before
	op := e.started(p, stateDeleting, d, now)
	p.State, op.Does = "DeletingMachines", stateScaling // the pool itself stays
	out := e.accepted(c, op, http.StatusAccepted, nil)
	if d.failure != nil || d.stuck {
		return out, nil
	}
	var leaving []Machine
	for _, m := range p.Machines {
		if slices.Contains(names, m.Node) {
			leaving = append(leaving, m)
		}
	}
	effects := e.leave(p, op, leaving)
	p.Count = len(p.Machines)
	return out, effects
}
