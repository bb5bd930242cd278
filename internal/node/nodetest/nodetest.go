// Package nodetest is the contract of providers as a suite of tests: every provider passes it.
package nodetest

import (
	"testing"

	"kaito.sh/kaito/internal/node"
)

// Fault is something that a cloud does. It lasts from Inject to Clear.
type Fault string

// The faults. Those of creation concern what is asked for while they last.
const (
	// QuotaZero: the account may have none of the wanted type.
	QuotaZero Fault = "the quota is zero"
	// QuotaFull: the account has some quota, and all of it is in use.
	QuotaFull Fault = "the quota is used up"
	// NoCapacity: the cloud has none of it now.
	NoCapacity Fault = "there is no capacity"
	// NotSold: the type is not sold here.
	NotSold Fault = "the type is not sold here"
	// Retired: types that the table calls retired are refused.
	Retired Fault = "the type is retired"
	// Throttled: every call is answered with a wait of some seconds.
	Throttled Fault = "calls are throttled"
	// Refused: the identity may do nothing.
	Refused Fault = "the identity is refused"
	// NoCluster: the cluster that the provider was told of is not there.
	NoCluster Fault = "the cluster is not there"
	// Unreachable: no call arrives.
	Unreachable Fault = "the cloud cannot be reached"
	// AnswerLost: what makes and removes is accepted, and the connection breaks before the answer.
	AnswerLost Fault = "the answer is lost"
	// Busy: what makes and removes is refused since something else is under way.
	Busy Fault = "another operation is in progress"
	// CreationFails: creation is accepted, and ends without a machine since there was no capacity.
	CreationFails Fault = "the creation fails"
	// CreationStuck: creation is accepted and does not end.
	CreationStuck Fault = "the creation is stuck"
	// DeletionSlow: deletion is accepted and does not end.
	DeletionSlow Fault = "the deletion is slow"
)

// Cloud is the other side of a provider, in the hands of a test.
type Cloud interface {
	// Inject starts a fault, Clear ends all of them.
	Inject(f Fault)
	Clear()
	// Settle lets an hour pass on every clock: what is under way has come to its end then,
	// unless it is stuck.
	Settle()
	// Calls is how often the cloud was called, refusals included, except for calls that did
	// not arrive; Creations how often it began to make a machine.
	Calls() int
	Creations() int
	// Put places a machine that is ready. No mark of an owner is written if owner is empty.
	Put(key node.Key, owner node.Owner)
	// Vanish takes a machine away behind the provider's back.
	Vanish(key node.Key)
	// Present says whether a machine stands there, in any state and of any owner.
	Present(key node.Key) bool
}

// Harness is a cloud without machines, and a way to start a provider for it.
type Harness struct {
	Cloud Cloud
	// Start is a new process of the provider: it remembers nothing of the one before.
	Start func() node.Provider
	// GPU and Other are types that are sold, CPU one without GPUs and Gone one that is known
	// and retired. GPUs is how many GPUs the first has. Empty ones are types of Azure.
	GPU, Other, CPU, Gone string
	GPUs                  int
	// Cannot are faults that this provider can never meet, each with the reason.
	Cannot map[Fault]string
}

// Run checks a provider. start makes a fresh harness for every case.
func Run(t *testing.T, start func(t *testing.T) Harness) {
	t.Helper()
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := whole(start(t))
			for _, f := range c.faults {
				if why, cannot := h.Cannot[f]; cannot {
					t.Skipf("%s: %s", f, why)
				}
			}
			c.check(&world{TB: t, Harness: h, provider: h.Start()})
		})
	}
}

// check is one case: the faults that it needs, and what it does.
type check struct {
	faults []Fault
	check  func(w *world)
}

// cases are all cases. They take a testing.TB so that the suite's own test can see them fail.
func cases() map[string]check {
	all := map[string]check{}
	for _, part := range []map[string]check{offerCases(), ensureCases(), refusalCases(), removeCases(), lookCases()} {
		for name, c := range part {
			if _, twice := all[name]; twice {
				panic("two cases are called " + name)
			}
			all[name] = c
		}
	}
	return all
}

func whole(h Harness) Harness {
	if h.GPU == "" {
		h.GPU, h.GPUs = "Standard_NC24ads_A100_v4", 1
		h.Other, h.CPU, h.Gone = "Standard_NC48ads_A100_v4", "Standard_D4s_v5", "Standard_NC6s_v3"
	}
	return h
}
