package armemulator

import "maps"

// Counts are what was asked of the emulator since its state began.
type Counts struct {
	// Requests are all calls by verb, whatever became of them.
	Requests map[Verb]int `json:"requests"`
	// Accepted are the changes that were begun, by verb.
	Accepted map[Verb]int `json:"accepted"`
	// Rejected are refused calls by Azure's code, those of faults included.
	Rejected map[string]int `json:"rejected"`
	// Faults are the faults that struck, by what they do.
	Faults map[string]int `json:"faults"`
}

func newCounts() Counts { return Counts{}.whole() }

// whole has no map that is nil.
func (c Counts) whole() Counts {
	if c.Requests == nil {
		c.Requests = map[Verb]int{}
	}
	if c.Accepted == nil {
		c.Accepted = map[Verb]int{}
	}
	if c.Rejected == nil {
		c.Rejected = map[string]int{}
	}
	if c.Faults == nil {
		c.Faults = map[string]int{}
	}
	return c
}

// Counts are the numbers so far.
func (e *Emulator) Counts() Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.state.Counts
	return Counts{
		Requests: maps.Clone(c.Requests), Accepted: maps.Clone(c.Accepted),
		Rejected: maps.Clone(c.Rejected), Faults: maps.Clone(c.Faults),
	}
}

// rejected counts a refusal.
func (e *Emulator) rejected(code string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state.Counts.Rejected[code]++
	e.save()
}
