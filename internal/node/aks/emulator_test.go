package aks_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	testclock "k8s.io/utils/clock/testing"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/armemulatortest"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/aks"
	"kaito.sh/kaito/internal/node/nodetest"
)

const (
	group, cluster = armemulatortest.Group, armemulatortest.Cluster
	// pace is how long Azure takes for anything.
	pace = 40 * time.Minute
)

// azure is the emulator as the suite's cloud, over TLS, with the official client before it.
type azure struct {
	*armemulatortest.Server
	t       *testing.T
	clock   *testclock.FakeClock
	pools   *armcontainerservice.AgentPoolsClient
	foreign int
	slow    bool
}

func newAzure(t *testing.T, o armemulator.Options) *azure {
	t.Helper()
	clock := testclock.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	o.Clock, o.Pace, o.RetryAfter = clock, pace, 5*time.Second
	a := &azure{Server: armemulatortest.Start(t, o), t: t, clock: clock}
	var err error
	if a.pools, err = armcontainerservice.NewAgentPoolsClient(armemulatortest.Subscription, a.Credential, a.ClientOptions()); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *azure) provider() node.Provider {
	a.t.Helper()
	p, err := aks.New(aks.Options{
		Subscription: armemulatortest.Subscription, Group: group, Cluster: cluster, Location: armemulatortest.Region,
		Credential: a.Credential, Client: *a.ClientOptions(), Clock: a.clock,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return p
}

func (a *azure) Inject(f nodetest.Fault) {
	a.t.Helper()
	put, remove, abort := armemulator.VerbPut, armemulator.VerbDelete, armemulator.VerbAbort
	refuse := func(say string, with map[string]string, on ...armemulator.Verb) (faults []armemulator.Fault) {
		for _, verb := range on {
			faults = append(faults, armemulator.Fault{On: verb, Times: -1, Do: armemulator.DoRefuse, Say: say, With: with})
		}
		return faults
	}
	do := func(what string, on ...armemulator.Verb) (faults []armemulator.Fault) {
		for _, verb := range on {
			faults = append(faults, armemulator.Fault{On: verb, Times: -1, Do: what})
		}
		return faults
	}
	quota := func(limit, usage, needed string) map[string]string {
		return map[string]string{"limit": limit, "usage": usage, "requested": "24", "needed": needed, "region": armemulatortest.Region}
	}
	faults := map[nodetest.Fault][]armemulator.Fault{
		nodetest.QuotaZero:     refuse("quota-family-compute", quota("0", "0", "24"), put),
		nodetest.QuotaFull:     refuse("quota-family-compute", quota("24", "24", "48"), put),
		nodetest.NoCapacity:    refuse("allocation-failed", nil, put),
		nodetest.NotSold:       refuse("size-not-allowed", nil, put),
		nodetest.Retired:       nil, // the emulator knows
		nodetest.Throttled:     {{Times: -1, Do: armemulator.DoRefuse, Say: "throttled", RetryAfter: armemulator.Duration(17 * time.Second)}},
		nodetest.Refused:       refuse("forbidden", nil, ""),
		nodetest.NoCluster:     refuse("cluster-not-found", nil, ""),
		nodetest.Unreachable:   do(armemulator.DoReset, ""),
		nodetest.AnswerLost:    do(armemulator.DoResetAfter, put, remove, abort),
		nodetest.Busy:          refuse("busy-cluster", nil, put, remove, abort),
		nodetest.CreationFails: {{On: put, Times: -1, Do: armemulator.DoFail, Say: "allocation-failed"}},
		nodetest.CreationStuck: do(armemulator.DoStuck, put),
		nodetest.DeletionSlow:  nil, // time goes slower
	}
	script, known := faults[f]
	if !known {
		a.t.Fatalf("no fault is called %q", f)
	}
	a.slow = f == nodetest.DeletionSlow
	if err := a.Server.Inject(script...); err != nil {
		a.t.Fatal(err)
	}
}

func (a *azure) Clear() { a.slow = false; a.ClearFaults() }

func (a *azure) Settle() {
	if a.slow {
		a.clock.Step(time.Minute) // longer than any list is believed, shorter than a deletion
		return
	}
	a.clock.Step(time.Hour)
}

func (a *azure) Calls() int {
	total := 0
	for _, n := range a.Counts().Requests {
		total += n
	}
	return total
}

func (a *azure) Creations() int { return a.Counts().Accepted[armemulator.VerbPut] - a.foreign }

func (a *azure) Put(key node.Key, owner node.Owner) {
	a.t.Helper()
	properties := &armcontainerservice.ManagedClusterAgentPoolProfileProperties{VMSize: to.Ptr("Standard_D4s_v5"), Count: to.Ptr[int32](1)}
	if owner != (node.Owner{}) {
		properties.Tags = map[string]*string{
			"kaito-cluster": &owner.Cluster, "kaito-claim-uid": &owner.ClaimUID, "kaito-claim-name": &owner.ClaimName,
		}
	}
	if _, err := a.pools.BeginCreateOrUpdate(a.t.Context(), group, cluster, string(key), armcontainerservice.AgentPool{Properties: properties}, nil); err != nil {
		a.t.Fatal(err)
	}
	a.foreign++
	a.clock.Step(time.Hour)
}

func (a *azure) Vanish(key node.Key) {
	a.t.Helper()
	if _, err := a.pools.BeginDelete(a.t.Context(), group, cluster, string(key), nil); err != nil {
		a.t.Fatal(err)
	}
	a.clock.Step(time.Hour)
}

func (a *azure) Present(key node.Key) bool {
	a.t.Helper()
	_, err := a.pools.Get(a.t.Context(), group, cluster, string(key), nil)
	var re *azcore.ResponseError
	if errors.As(err, &re) && re.StatusCode == http.StatusNotFound {
		return false
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return true
}

func TestTheContractOverTheEmulator(t *testing.T) {
	t.Parallel()
	nodetest.Run(t, func(t *testing.T) nodetest.Harness {
		a := newAzure(t, armemulator.Options{})
		return nodetest.Harness{Cloud: a, Start: a.provider}
	})
}
