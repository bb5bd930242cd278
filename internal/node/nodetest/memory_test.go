package nodetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"kaito.sh/kaito/internal/node"
)

// memory is a cloud of a few lines; bugs are what the provider for it does wrong.
type memory struct {
	mu               sync.Mutex
	now              time.Time
	fault            Fault
	calls, creations int
	machines         map[node.Key]*node.Observed
	bugs             map[string]bool
}

func newMemory(bugs ...string) *memory {
	m := &memory{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), machines: map[node.Key]*node.Observed{}, bugs: map[string]bool{}}
	for _, b := range bugs {
		m.bugs[b] = true
	}
	return m
}

func (m *memory) harness() Harness {
	return Harness{Cloud: m, Start: func() node.Provider { return &process{memory: m} }}
}

func (m *memory) locked(do func()) { m.mu.Lock(); defer m.mu.Unlock(); do() }

func (m *memory) Inject(f Fault) { m.locked(func() { m.fault = f }) }
func (m *memory) Clear()         { m.Inject("") }
func (m *memory) Settle() {
	m.locked(func() {
		m.now = m.now.Add(time.Hour)
		for k, o := range m.machines {
			switch {
			case o.State == node.Deleting && m.fault != DeletionSlow:
				delete(m.machines, k)
			case o.State == node.Creating && m.fault == CreationFails:
				o.State, o.Failure = node.Failed, &node.Error{Class: node.Capacity, Message: "None left"}
			case o.State == node.Creating && m.fault != CreationStuck:
				o.State = node.Ready
			}
		}
	})
}

func (m *memory) Calls() int     { m.mu.Lock(); defer m.mu.Unlock(); return m.calls }
func (m *memory) Creations() int { m.mu.Lock(); defer m.mu.Unlock(); return m.creations }
func (m *memory) Put(k node.Key, owner node.Owner) {
	m.locked(func() {
		m.machines[k] = &node.Observed{Key: k, State: node.Ready, Owner: owner, CreatedAt: m.now}
	})
}
func (m *memory) Vanish(k node.Key) { m.locked(func() { delete(m.machines, k) }) }
func (m *memory) Present(k node.Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machines[k] != nil
}

// process is a provider for it.
type process struct {
	*memory
	until time.Time
}

// call is what happens to every call, with the lock held.
func (p *process) call(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wait := &node.Error{Class: node.Throttled, Message: "Too many", RetryAfter: time.Minute}
	if p.now.Before(p.until) && !p.bugs["forgets to wait"] {
		return wait
	}
	if p.fault != Unreachable {
		p.calls++
	}
	switch p.fault {
	case Throttled:
		p.until = p.now.Add(time.Minute)
		return wait
	case Refused:
		return &node.Error{Class: node.Auth, Message: "Not you", Fix: "Grant the role."}
	case NoCluster:
		return &node.Error{Class: node.NotFound, Message: "No cluster", Fix: "Name another."}
	case Unreachable:
		return &node.Error{Class: node.Transient, Message: "Nobody answers"}
	default:
		return nil
	}
}

func (p *process) Offers(_ context.Context, s node.Shape) ([]node.Offer, error) {
	gpus := map[string]int{"Standard_NC24ads_A100_v4": 1, "Standard_NC48ads_A100_v4": 2, "Standard_D4s_v5": 0, "Standard_NC6s_v3": 1}
	kinds := s.CapacityTypes
	if len(kinds) == 0 {
		kinds = []string{"on-demand"}
	}
	var offers []node.Offer
	for _, kind := range kinds {
		for _, t := range s.InstanceTypes {
			if n, known := gpus[t]; known {
				offers = append(offers, node.Offer{InstanceType: t, CapacityType: kind, GPUs: n})
			}
		}
	}
	if len(offers) == 0 {
		return nil, &node.Error{Class: node.Invalid, Message: "Not known, perhaps Standard_NC24ads_A100_v4"}
	}
	return offers, nil
}

func (p *process) Ensure(ctx context.Context, r node.Request) (node.Observed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.call(ctx); err != nil {
		return node.Observed{}, err
	}
	if o := p.machines[r.Key]; o != nil && !p.bugs["makes it again"] {
		if o.Owner != r.Owner && !p.bugs["takes a stranger's"] {
			return node.Observed{}, &node.Error{Class: node.Exists, Message: fmt.Sprintf("%s is another's", r.Key)}
		}
		return p.look(r.Key), nil
	}
	if err := p.accepted(r.Offer); err != nil {
		return node.Observed{}, err
	}
	p.creations++
	p.machines[r.Key] = &node.Observed{
		Key: r.Key, State: node.Creating, Owner: r.Owner, Offer: r.Offer, CreatedAt: p.now, ProviderID: "memory://" + string(r.Key), Token: "token",
	}
	if p.fault == AnswerLost {
		return node.Observed{}, &node.Error{Class: node.Transient, Message: "Hung up"}
	}
	return p.look(r.Key), nil
}

// accepted says why nothing is made of an offer.
func (p *process) accepted(o node.Offer) error {
	switch {
	case p.fault == QuotaZero:
		return &node.Error{Class: node.Quota, Message: "Limit 0", Zero: !p.bugs["waits for a quota of zero"], Fix: "Ask for quota."}
	case p.fault == QuotaFull:
		return &node.Error{Class: node.Quota, Message: "All in use", Fix: "Ask for quota."}
	case p.fault == NoCapacity:
		return &node.Error{Class: node.Capacity, Message: "None left"}
	case p.fault == NotSold, p.fault == Retired && strings.HasSuffix(o.InstanceType, "_v3"):
		return &node.Error{Class: node.SKUUnavailable, Message: "Not sold", Fix: "Take another."}
	case p.fault == Busy:
		return &node.Error{Class: node.Conflict, Message: "Busy"}
	default:
		return nil
	}
}

func (p *process) look(k node.Key) node.Observed {
	if o := p.machines[k]; o != nil {
		got := *o
		if p.bugs["forgets the cause"] && got.State == node.Failed {
			got.Failure = &node.Error{Class: node.Transient, Message: "Failed"}
		}
		return got
	}
	return node.Observed{Key: k, State: node.Absent}
}

func (p *process) Observe(ctx context.Context, k node.Key, _ string) (node.Observed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.call(ctx); err != nil && !p.bugs["takes silence for absence"] {
		return node.Observed{}, err
	} else if err != nil {
		return node.Observed{Key: k, State: node.Absent}, nil
	}
	return p.look(k), nil
}

func (p *process) List(ctx context.Context, cluster string) (node.Listing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := node.Listing{Now: p.now}
	if err := p.call(ctx); err != nil && !p.bugs["lists nothing when refused"] {
		return node.Listing{}, err
	} else if err != nil {
		return l, nil
	}
	for k, o := range p.machines {
		if o.Owner.Cluster == cluster || p.bugs["lists a stranger's"] {
			l.Machines = append(l.Machines, p.look(k))
		}
	}
	return l, nil
}

func (p *process) Remove(ctx context.Context, k node.Key, owner node.Owner) (node.Observed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.call(ctx); err != nil {
		return node.Observed{}, err
	}
	o := p.machines[k]
	if o == nil {
		return p.look(k), nil
	}
	theirs := o.Owner.Cluster != owner.Cluster || o.Owner.ClaimUID != owner.ClaimUID || owner.ClaimUID == ""
	if theirs && !p.bugs["removes a stranger's"] {
		return node.Observed{}, &node.Error{Class: node.Exists, Message: fmt.Sprintf("%s is another's", k)}
	}
	if p.fault == Busy || p.bugs["cannot give up"] && o.State == node.Creating {
		return node.Observed{}, &node.Error{Class: node.Conflict, Message: "Busy"}
	}
	if !p.bugs["removes nothing"] {
		o.State, o.Failure = node.Deleting, nil
	}
	if p.fault == AnswerLost {
		return node.Observed{}, &node.Error{Class: node.Transient, Message: "Hung up"}
	}
	got := *o
	got.State = node.Deleting
	return got, nil
}

func (p *process) Reboot(context.Context, node.Key, node.Owner) error {
	return &node.Error{Class: node.Unsupported, Message: "It cannot be started again", Fix: "Replace it."}
}

func (p *process) Classify(err error) *node.Error {
	var e *node.Error
	if errors.As(err, &e) {
		return e
	}
	if err == nil {
		return nil
	}
	return &node.Error{Class: node.Transient, Message: err.Error(), Err: err}
}

func TestAProviderInMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	Run(t, func(*testing.T) Harness { return newMemory().harness() })
}

// A suite that cannot fail is none: each bug must be found.
func TestTheSuiteFindsBugs(t *testing.T) {
	t.Parallel()
	for _, bug := range []string{
		"forgets to wait", "makes it again", "takes a stranger's", "waits for a quota of zero", "forgets the cause", "takes silence for absence",
		"lists nothing when refused", "lists a stranger's", "removes a stranger's", "cannot give up", "removes nothing",
	} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			found := 0
			for _, c := range cases() {
				r := &recorder{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					h := whole(newMemory(bug).harness())
					c.check(&world{TB: r, Harness: h, provider: h.Start()})
				}()
				<-done
				if r.failed() {
					found++
				}
			}
			if found == 0 {
				t.Error("no case fails")
			}
		})
	}
}

// recorder notes failures instead of failing.
type recorder struct {
	testing.TB
	mu   sync.Mutex
	told bool
}

func (r *recorder) failed() bool          { r.mu.Lock(); defer r.mu.Unlock(); return r.told }
func (r *recorder) Helper()               {}
func (r *recorder) Error(...any)          { r.mu.Lock(); defer r.mu.Unlock(); r.told = true }
func (r *recorder) Errorf(string, ...any) { r.Error() }
func (r *recorder) Fatal(...any)          { r.Error(); runtime.Goexit() }
func (r *recorder) Fatalf(string, ...any) { r.Fatal() }
