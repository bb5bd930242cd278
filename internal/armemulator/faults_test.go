package armemulator_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aks "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/armemulatortest"
)

func (a *azure) inject(faults ...armemulator.Fault) {
	a.t.Helper()
	if err := a.Inject(faults...); err != nil {
		a.t.Fatal(err)
	}
}

func TestFaultsThatRefuse(t *testing.T) {
	t.Parallel()
	for say, want := range map[string]struct {
		code, text string
		status     int
	}{
		"throttled":               {"SubscriptionRequestsThrottled", "Please try again after '17' seconds", 429},
		"internal":                {"InternalServerError", "", 500},
		"bad-gateway":             {"BadGateway", "", 502},
		"unavailable":             {"ServiceUnavailable", "", 503},
		"gateway-timeout":         {"GatewayTimeout", "", 504},
		"busy-cluster":            {"OperationNotAllowed", "Another operation (Updating) is in progress", 409},
		"quota-family-compute":    {"OperationNotAllowed", "approved StandardNCADSA100v4Family Cores quota", 409},
		"sku-not-available":       {"SkuNotAvailable", gpuSize, 400},
		"sku-not-available-zones": {"SkuNotAvailable", "zones '2'", 400},
		"zonal-allocation-failed": {"ZonalAllocationFailed", "in this zone", 409},
		"invalid-token":           {"InvalidAuthenticationToken", "", 401},
	} {
		t.Run(say, func(t *testing.T) {
			t.Parallel()
			a := start(t, armemulator.Options{})
			a.inject(armemulator.Fault{On: armemulator.VerbPut, Do: armemulator.DoRefuse, Say: say, RetryAfter: armemulator.Duration(17 * time.Second)})
			pool := gpuPool()
			pool.Properties.AvailabilityZones = []*string{to.Ptr("2")}
			_, err := a.put("kabc", pool)
			code, status := refused(t, err)
			if code != want.code || status != want.status || !strings.Contains(err.Error(), want.text) {
				t.Errorf("%d %s: %v", status, code, err)
			}
			var re *azcore.ResponseError
			if errors.As(err, &re) && re.RawResponse.Header.Get("Retry-After") != "17" {
				t.Errorf("Retry-After is %q", re.RawResponse.Header.Get("Retry-After"))
			}
			if _, err := a.put("kabc", pool); err != nil {
				t.Errorf("the fault strikes once, then: %v", err)
			}
			if n := a.Counts(); n.Rejected[want.code] != 1 || n.Faults[armemulator.DoRefuse] != 1 || n.Requests["put"] != 2 || n.Accepted["put"] != 1 {
				t.Errorf("counted %+v", n)
			}
		})
	}
}

func TestTheClientTriesAgainAfterThrottling(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	options := a.ClientOptions()
	options.Retry = policy.RetryOptions{MaxRetries: 3, RetryDelay: time.Millisecond}
	client, err := aks.NewAgentPoolsClient(armemulatortest.Subscription, a.Credential, options)
	if err != nil {
		t.Fatal(err)
	}
	a.inject(armemulator.Fault{Do: armemulator.DoRefuse, Say: "throttled", Times: 2}, armemulator.Fault{Do: armemulator.DoRefuse, Say: "unavailable"})
	if _, err := client.BeginCreateOrUpdate(t.Context(), group, cluster, "kabc", gpuPool(), nil); err != nil {
		t.Fatal(err)
	}
	if n := a.Counts(); n.Requests["put"] != 4 || n.Accepted["put"] != 1 || n.Rejected["SubscriptionRequestsThrottled"] != 2 {
		t.Errorf("counted %+v", n)
	}
}

func TestThrottlingLastsAsLongAsItIsSaid(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	a.inject(armemulator.Fault{Do: armemulator.DoRefuse, Say: "throttled", For: armemulator.Duration(5 * time.Minute)})
	for range 3 {
		_, err := a.put("kabc", gpuPool())
		if code, _ := refused(t, err); code != "SubscriptionRequestsThrottled" {
			t.Error(code)
		}
	}
	a.clock.Step(5 * time.Minute)
	if left := a.Faults(); len(left) != 0 {
		t.Errorf("faults are left: %v", left)
	}
	if _, err := a.put("kabc", gpuPool()); err != nil {
		t.Error(err)
	}
}

func TestConnectionsBreakBeforeAndAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do    string
		pools int
	}{
		"before anything is done": {armemulator.DoReset, 0},
		"after it was done":       {armemulator.DoResetAfter, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, armemulator.Options{})
			a.inject(armemulator.Fault{On: armemulator.VerbPut, Do: c.do})
			_, err := a.put("kabc", gpuPool())
			var re *azcore.ResponseError
			if err == nil || errors.As(err, &re) {
				t.Errorf("got %v, want a broken connection", err)
			}
			if n := len(a.Pools()); n != c.pools {
				t.Errorf("%d pools", n)
			}
		})
	}
	t.Run("an error after it was done", func(t *testing.T) {
		t.Parallel()
		a := start(t, armemulator.Options{})
		a.inject(armemulator.Fault{On: armemulator.VerbPut, Do: armemulator.DoRefuseAfter, Say: "internal"})
		_, err := a.put("kabc", gpuPool())
		if code, _ := refused(t, err); code != "InternalServerError" || len(a.Pools()) != 1 {
			t.Errorf("%s, pools %v", code, a.Pools())
		}
	})
}

func TestOperationsFail(t *testing.T) {
	t.Parallel()
	for say, code := range map[string]string{
		"sku-not-available": "SkuNotAvailable", "zonal-allocation-failed": "ZonalAllocationFailed", "allocation-failed": "AllocationFailed",
		"overconstrained-zonal": "OverconstrainedZonalAllocationRequest", "quota-region-compute": "OperationNotAllowed",
	} {
		t.Run(say, func(t *testing.T) {
			t.Parallel()
			a, ctx := start(t, armemulator.Options{}), t.Context()
			a.inject(armemulator.Fault{On: armemulator.VerbPut, Size: gpuSize, Do: armemulator.DoFail, Say: say})
			poller, err := a.put("kabc", gpuPool())
			if err != nil {
				t.Fatal(err)
			}
			a.clock.Step(time.Minute)
			_, err = finished(ctx, poller)
			if got, status := refused(t, err); got != code || status != http.StatusOK {
				t.Errorf("%d %s: %v", status, got, err)
			}
			got, err := a.pools.Get(ctx, group, cluster, "kabc", nil)
			if err != nil || *got.Properties.ProvisioningState != "Failed" || len(a.Machines.There()) != 0 {
				t.Errorf("pool %+v, %v, machines %v", got.Properties, err, a.Machines.There())
			}
			if _, err := a.pools.BeginDelete(ctx, group, cluster, "kabc", nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAMachineThatDoesNotBootFailsThePool(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	a.Machines.OnBoot(func(armemulator.Machine) error { return errors.New("no kubelet") })
	poller, err := a.put("kabc", gpuPool())
	if err != nil {
		t.Fatal(err)
	}
	a.clock.Step(time.Minute)
	_, err = finished(t.Context(), poller)
	if code, _ := refused(t, err); code != "CreateVMSSAgentPoolFailed" || !strings.Contains(err.Error(), "no kubelet") {
		t.Errorf("%v", err)
	}
}

func TestOperationsGetStuckOrLost(t *testing.T) {
	t.Parallel()
	a, ctx := start(t, armemulator.Options{}), t.Context()
	a.inject(
		armemulator.Fault{On: armemulator.VerbPut, Pool: "kstuck", Do: armemulator.DoStuck},
		armemulator.Fault{On: armemulator.VerbPoll, Skip: 2, Do: armemulator.DoRefuse, Say: "operation-not-found"},
		armemulator.Fault{On: armemulator.VerbPoll, Skip: 2, Times: 3, Do: armemulator.DoPending},
	)
	stuck, err := a.put("kstuck", gpuPool())
	if err != nil {
		t.Fatal(err)
	}
	a.clock.Step(24 * time.Hour)
	for range 2 {
		if _, err := stuck.Poll(ctx); err != nil || stuck.Done() {
			t.Fatalf("a stuck operation: done %v, %v", stuck.Done(), err)
		}
	}
	_, err = stuck.Poll(ctx)
	if code, status := refused(t, err); code != "NotFound" || status != 404 {
		t.Errorf("a lost operation: %d %s", status, code)
	}
	late, err := a.put("klate", gpuPool())
	if err != nil {
		t.Fatal(err)
	}
	a.clock.Step(time.Minute)
	before := a.Counts().Requests["poll"]
	if _, err := finished(ctx, late); err != nil {
		t.Error(err)
	}
	if n := a.Counts().Requests["poll"] - before; n != 4 {
		t.Errorf("%d polls, want three that are answered with InProgress and a last one", n)
	}
	abort, err := a.pools.BeginAbortLatestOperation(ctx, group, cluster, "kstuck", nil)
	if err != nil {
		t.Fatal(err)
	}
	a.clock.Step(time.Minute)
	if _, err := finished(ctx, abort); err != nil {
		t.Errorf("aborting what is stuck: %v", err)
	}
}

func TestReadsAreStale(t *testing.T) {
	t.Parallel()
	a, ctx := start(t, armemulator.Options{}), t.Context()
	a.created("kold", gpuPool())
	a.inject(armemulator.Fault{On: armemulator.VerbList, Do: armemulator.DoStale}, armemulator.Fault{On: armemulator.VerbGet, Do: armemulator.DoStale, Skip: 1})
	a.created("knew", gpuPool()) // its result is the get that is let pass
	_, err := a.pools.Get(ctx, group, cluster, "knew", nil)
	if code, _ := refused(t, err); code != "NotFound" {
		t.Errorf("a stale get: %s", code)
	}
	names := func() (names []string) {
		page, err := a.pools.NewListPager(group, cluster, nil).NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Value {
			names = append(names, *p.Name)
		}
		return names
	}
	if diff := cmp.Diff([]string{"kold"}, names()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"knew", "kold"}, names()); diff != "" {
		t.Error(diff)
	}
}

func TestAPageIsSlow(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	a.inject(armemulator.Fault{On: armemulator.VerbList, Do: armemulator.DoSlow, Delay: armemulator.Duration(time.Hour)})
	answered := make(chan error, 1)
	go func() {
		_, err := a.pools.NewListPager(group, cluster, nil).NextPage(t.Context())
		answered <- err
	}()
	for !a.clock.HasWaiters() { // until the call waits for the clock
		select {
		case err := <-answered:
			t.Fatalf("answered at once: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	a.clock.Step(time.Hour)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestMachinesComeWithoutGPUsOrNotAtAll(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	a.inject(armemulator.Fault{On: armemulator.VerbPut, Do: armemulator.DoNoGPU}, armemulator.Fault{On: armemulator.VerbPut, Do: armemulator.DoNoNode})
	a.created("kblind", gpuPool())
	if m := a.Machines.There(); len(m) != 1 || m[0].GPUs != 0 {
		t.Errorf("machines %+v", m)
	}
	if p := a.created("kghost", gpuPool()); *p.Properties.ProvisioningState != "Succeeded" || len(a.Machines.There()) != 1 {
		t.Errorf("pool %+v, machines %v", p.Properties, a.Machines.There())
	}
}

func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	for name, f := range map[string]armemulator.Fault{
		"nothing to do":   {},
		"nothing to say":  {Do: armemulator.DoRefuse},
		"no such message": {Do: armemulator.DoFail, Say: "tired"},
		"no such verb":    {On: "sing", Do: armemulator.DoReset},
	} {
		if a.Inject(f) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	script := `[{"on": "put", "do": "refuse", "say": "throttled", "retryAfter": "1m", "for": "5m", "with": {"seconds": "60"}}]`
	got, err := armemulator.ParseFaults([]byte(script))
	want := []armemulator.Fault{{
		On: "put", Do: "refuse", Say: "throttled", RetryAfter: armemulator.Duration(time.Minute), For: armemulator.Duration(5 * time.Minute),
		With: map[string]string{"seconds": "60"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
