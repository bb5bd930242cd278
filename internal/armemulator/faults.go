package armemulator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What a fault can do.
const (
	// DoRefuse answers with a message and does nothing.
	DoRefuse = "refuse"
	// DoReset breaks the connection before anything is done, DoResetAfter after it was done.
	DoReset      = "reset"
	DoResetAfter = "reset-after"
	// DoRefuseAfter does what was asked and answers with a message all the same.
	DoRefuseAfter = "refuse-after"
	// DoFail accepts, and the operation ends Failed with a message. No machine is made.
	DoFail = "fail"
	// DoStuck accepts, and the operation never ends.
	DoStuck = "stuck"
	// DoPending answers a poll with InProgress, however far the operation is.
	DoPending = "pending"
	// DoStale answers a read from how things stood when the fault was added.
	DoStale = "stale"
	// DoSlow answers late, by Delay.
	DoSlow = "slow"
	// DoNoGPU makes machines without their GPUs, DoNoNode machines that never join.
	DoNoGPU  = "no-gpu"
	DoNoNode = "no-node"
)

// Duration is a time.Duration, in JSON as text like "1m30s".
type Duration time.Duration

// MarshalText writes it as text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Fault is one thing that goes wrong. Its first fields say which calls it strikes: those
// that match all that are given.
type Fault struct {
	// On is the verb, any when empty.
	On Verb `json:"on,omitempty"`
	// Pool is the agent pool; Size and Zone are of what a put asks for.
	Pool string `json:"pool,omitempty"`
	Size string `json:"size,omitempty"`
	Zone string `json:"zone,omitempty"`
	// Skip is how many matching calls it lets pass first.
	Skip int `json:"skip,omitempty"`
	// Times is how often it strikes: once when 0, always when below 0.
	Times int `json:"times,omitempty"`
	// For is how long it stays, by the emulator's clock, from when it was added; Times is
	// then without limit unless given.
	For Duration `json:"for,omitzero"`
	// Do is what happens.
	Do string `json:"do"`
	// Say is the name of a message of Messages, With its placeholders.
	Say  string            `json:"say,omitempty"`
	With map[string]string `json:"with,omitempty"`
	// Status replaces the message's own where it is not 0.
	Status int `json:"status,omitempty"`
	// RetryAfter is sent with the refusal when it is not 0, Delay is that of DoSlow.
	RetryAfter Duration `json:"retryAfter,omitzero"`
	Delay      Duration `json:"delay,omitzero"`
}

// pendingFault is a fault that waits, with what it needs to know.
type pendingFault struct {
	Fault
	left, skip int // left below 0 is without limit
	until      time.Time
	snapshot   []map[string]any
}

// ParseFaults reads a script: a JSON list of faults.
func ParseFaults(data []byte) ([]Fault, error) {
	var faults []Fault
	if err := json.Unmarshal(data, &faults); err != nil {
		return nil, fmt.Errorf("read a script of faults: %w", err)
	}
	return faults, nil
}

// Inject adds faults behind those that wait. Of two that match a call the older one strikes.
func (e *Emulator) Inject(faults ...Fault) error {
	for i, f := range faults {
		if err := e.check(f); err != nil {
			return fmt.Errorf("fault %d: %w", i, err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.o.Clock.Now()
	e.settle(now)
	for _, f := range faults {
		p := &pendingFault{Fault: f, left: f.Times, skip: f.Skip}
		if f.Times == 0 {
			p.left = 1
		}
		if f.For > 0 {
			p.until = now.Add(time.Duration(f.For))
			if f.Times == 0 {
				p.left = -1
			}
		}
		if f.Do == DoStale {
			p.snapshot = e.poolBodies()
		}
		e.faults = append(e.faults, p)
	}
	return nil
}

func (e *Emulator) check(f Fault) error {
	says := []string{DoRefuse, DoRefuseAfter, DoFail}
	others := []string{DoReset, DoResetAfter, DoStuck, DoPending, DoStale, DoSlow, DoNoGPU, DoNoNode}
	switch {
	case slices.Contains(says, f.Do):
		if _, known := e.messages[f.Say]; !known {
			return fmt.Errorf("say %q is not among the known messages", f.Say)
		}
	case !slices.Contains(others, f.Do):
		return fmt.Errorf("do %q: give one of %s", f.Do, strings.Join(append(says, others...), ", "))
	}
	if f.On != "" && !slices.Contains(Verbs(), f.On) {
		return fmt.Errorf("on %q is no verb of the emulator's", f.On)
	}
	return nil
}

// ClearFaults removes all that wait.
func (e *Emulator) ClearFaults() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = nil
}

// Faults are those that wait, oldest first.
func (e *Emulator) Faults() []Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expire(e.o.Clock.Now())
	out := []Fault{}
	for _, p := range e.faults {
		f := p.Fault
		f.Times, f.Skip = p.left, p.skip
		out = append(out, f)
	}
	return out
}

// strike takes the fault that strikes a call, nil when none does. Asked for what a put
// wants, so that it can match size and zones.
func (e *Emulator) strike(c *call, do ...string) *pendingFault {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.expire(e.o.Clock.Now())
	for i, p := range e.faults {
		if !slices.Contains(do, p.Do) || !p.matches(c) {
			continue
		}
		if p.skip > 0 {
			p.skip--
			continue
		}
		if p.left > 0 {
			p.left--
		}
		if p.left == 0 {
			e.faults = slices.Delete(e.faults, i, i+1)
		}
		e.state.Counts.Faults[p.Do]++
		return p
	}
	return nil
}

func (e *Emulator) expire(now time.Time) {
	e.faults = slices.DeleteFunc(e.faults, func(p *pendingFault) bool { return !p.until.IsZero() && !now.Before(p.until) })
}

func (p *pendingFault) matches(c *call) bool {
	return (p.On == "" || p.On == c.verb) &&
		(p.Pool == "" || strings.EqualFold(p.Pool, c.pool)) &&
		(p.Size == "" || c.want != nil && strings.EqualFold(p.Size, c.want.size)) &&
		(p.Zone == "" || c.want != nil && slices.Contains(c.want.zones, p.Zone))
}

// words is the fault's message with its placeholders filled in.
func (e *Emulator) words(p *pendingFault, c *call) *refusal {
	pairs := []string{}
	for k, v := range p.With {
		pairs = append(pairs, k, v)
	}
	pairs = append(pairs, "pool", c.pool, "operation", c.action(), "seconds", seconds(time.Duration(p.RetryAfter)))
	if c.want != nil {
		size := e.sizes[strings.ToLower(c.want.size)]
		pairs = append(pairs, "size", c.want.size, "family", size.Family, "zones", strings.Join(c.want.zones, ","), "scaleset", e.scaleSet(c.pool))
	}
	r := e.say(p.Say, pairs...)
	if p.Status != 0 {
		r.Status = p.Status
	}
	r.retryAfter = time.Duration(p.RetryAfter)
	return r
}
