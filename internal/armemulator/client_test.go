package armemulator_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aks "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	testclock "k8s.io/utils/clock/testing"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/armemulatortest"
)

const (
	group, cluster = armemulatortest.Group, armemulatortest.Cluster
	gpuSize        = "Standard_NC24ads_A100_v4"
)

// azure is an emulator with the official client before it.
type azure struct {
	*armemulatortest.Server
	t     *testing.T
	pools *aks.AgentPoolsClient
	clock *testclock.FakeClock
}

// start runs an emulator whose operations take one minute of a clock that stands still.
func start(t *testing.T, o armemulator.Options) *azure {
	t.Helper()
	clock := testclock.NewFakeClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	if o.Clock == nil {
		o.Clock = clock
	}
	if o.Pace == 0 {
		o.Pace = time.Minute
	}
	a := &azure{Server: armemulatortest.Start(t, o), t: t, clock: clock}
	a.pools = a.client(armemulatortest.Subscription)
	return a
}

func (a *azure) client(subscription string) *aks.AgentPoolsClient {
	a.t.Helper()
	c, err := aks.NewAgentPoolsClient(subscription, a.Credential, a.ClientOptions())
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

func gpuPool() aks.AgentPool {
	return aks.AgentPool{Properties: &aks.ManagedClusterAgentPoolProfileProperties{
		VMSize: to.Ptr(gpuSize), Count: to.Ptr[int32](1), Mode: to.Ptr(aks.AgentPoolModeUser),
		NodeLabels: map[string]*string{"kaito.sh/workspace": to.Ptr("falcon")},
		NodeTaints: []*string{to.Ptr("sku=gpu:NoSchedule")},
		Tags:       map[string]*string{"kaito-claim": to.Ptr("one")},
	}}
}

func (a *azure) put(name string, p aks.AgentPool) (*runtime.Poller[aks.AgentPoolsClientCreateOrUpdateResponse], error) {
	return a.pools.BeginCreateOrUpdate(a.t.Context(), group, cluster, name, p, nil)
}

// created makes a pool and lets its operation end.
func (a *azure) created(name string, p aks.AgentPool) aks.AgentPool {
	a.t.Helper()
	poller, err := a.put(name, p)
	if err != nil {
		a.t.Fatal(err)
	}
	a.clock.Step(time.Minute)
	out, err := finished(a.t.Context(), poller)
	if err != nil {
		a.t.Fatal(err)
	}
	return out.AgentPool
}

// finished polls, without waiting between polls, until the operation is over.
func finished[T any](ctx context.Context, poller *runtime.Poller[T]) (T, error) {
	for range 20 {
		if _, err := poller.Poll(ctx); err != nil {
			var none T
			return none, err
		}
		if poller.Done() {
			return poller.Result(ctx)
		}
	}
	var none T
	return none, errors.New("the operation is not over after twenty polls")
}

// refused is an error's code and status.
func refused(t *testing.T, err error) (code string, status int) {
	t.Helper()
	var re *azcore.ResponseError
	if !errors.As(err, &re) {
		t.Fatalf("got %v, want an error of the service's", err)
	}
	return re.ErrorCode, re.StatusCode
}
