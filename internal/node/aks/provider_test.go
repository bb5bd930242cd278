package aks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/armemulatortest"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/aks"
)

const clusterID = "5f2c7f5e-11a3-4a53-a7f3-0a35c1f3a1de"

// request asks for the n-th claim's machine.
func request(n int) node.Request {
	owner := node.Owner{Cluster: clusterID, ClaimUID: fmt.Sprintf("uid-%d", n), ClaimName: fmt.Sprintf("ws%09d", n)}
	return node.Request{
		Key: node.KeyOf(owner.Cluster, owner.ClaimUID), Owner: owner,
		Offer: node.Offer{InstanceType: "Standard_NC24ads_A100_v4", CapacityType: "on-demand"},
	}
}

func ensure(t *testing.T, p node.Provider, r node.Request) node.Observed {
	t.Helper()
	o, err := p.Ensure(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func observe(t *testing.T, p node.Provider, r node.Request) node.Observed {
	t.Helper()
	o, err := p.Observe(t.Context(), r.Key, r.Token)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAPoolIsWhatTheClaimAsksFor(t *testing.T) {
	t.Parallel()
	a := newAzure(t, armemulator.Options{})
	r := request(1)
	r.Offer.CapacityType, r.Offer.Zone = "spot", "eastus-2"
	r.Shape = node.Shape{
		Labels: map[string]string{
			"kaito.sh/workspace": "phi", "karpenter.sh/nodepool": "kaito", "kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": "eastus-2",
			"kubernetes.azure.com/mode": "user",
		},
		Taints:  []corev1.Taint{{Key: "sku", Value: "gpu", Effect: corev1.TaintEffectNoSchedule}, {Key: "bare", Effect: corev1.TaintEffectNoExecute}},
		DiskGiB: 300, ImageFamily: "azurelinux",
	}
	ensure(t, a.provider(), r)
	got, err := a.pools.Get(t.Context(), group, cluster, string(r.Key), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := got.Properties
	type brief struct {
		Type, OS, Mode, Size, SKU, Priority, Eviction string
		Count, Disk                                   int32
		Price                                         float32
		Zones, Taints                                 []string
		Labels, Tags                                  map[string]string
	}
	want := brief{
		Type: "VirtualMachineScaleSets", OS: "Linux", Mode: "User", Size: "Standard_NC24ads_A100_v4", SKU: "AzureLinux", Priority: "Spot", Eviction: "Delete",
		Count: 1, Disk: 300, Price: -1, Zones: []string{"2"}, Taints: []string{"sku=gpu:NoSchedule", "bare=:NoExecute"},
		Labels: map[string]string{"kaito.sh/workspace": "phi", "karpenter.sh/nodepool": "kaito"},
		Tags: map[string]string{
			"kaito-cluster": clusterID, "kaito-claim-uid": "uid-1", "kaito-claim-name": "ws000000001", "kaito-created-at": "2026-03-01T12:00:00Z",
		},
	}
	have := brief{
		Type: string(*p.Type), OS: string(*p.OSType), Mode: string(*p.Mode), Size: *p.VMSize, SKU: string(*p.OSSKU), Priority: string(*p.ScaleSetPriority),
		Eviction: string(*p.ScaleSetEvictionPolicy), Count: *p.Count, Disk: *p.OSDiskSizeGB, Price: *p.SpotMaxPrice,
		Zones: plainList(p.AvailabilityZones), Taints: plainList(p.NodeTaints), Labels: plainMap(p.NodeLabels), Tags: plainMap(p.Tags),
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("pool (-want +got):\n%s", diff)
	}
	if r.Shape.ImageFamily = "windows"; true {
		r.Key = "kother"
		if _, err := a.provider().Ensure(t.Context(), r); err == nil || !strings.Contains(err.Error(), "windows") {
			t.Errorf("an image family that does not exist: %v", err)
		}
	}
}

func plainList(in []*string) (out []string) {
	for _, s := range in {
		out = append(out, *s)
	}
	return out
}

func plainMap(in map[string]*string) map[string]string {
	out := map[string]string{}
	for k, v := range in {
		out[k] = *v
	}
	return out
}

func TestAQuietClusterCostsAListNowAndThen(t *testing.T) {
	t.Parallel()
	a := newAzure(t, armemulator.Options{})
	p := a.provider()
	const claims = 30
	for n := range claims {
		ensure(t, p, request(n))
	}
	a.clock.Step(time.Hour)
	for n := range claims {
		if o := observe(t, p, request(n)); o.State != node.Ready {
			t.Fatalf("claim %d is %s", n, o.State)
		}
	}
	before := a.Counts().Requests
	const minute = 60
	for range minute {
		a.clock.Step(time.Second)
		var all sync.WaitGroup
		for n := range claims {
			all.Go(func() {
				if _, err := p.Observe(context.Background(), request(n).Key, ""); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if _, err := p.List(t.Context(), clusterID); err != nil {
			t.Fatal(err)
		}
	}
	after := a.Counts().Requests
	if lists := after[armemulator.VerbList] - before[armemulator.VerbList]; lists > 4 {
		t.Errorf("%d lists in a minute, want at most 4", lists)
	}
	for _, verb := range armemulator.Verbs() {
		if n := after[verb] - before[verb]; n > 0 && verb != armemulator.VerbList {
			t.Errorf("%d calls of %s in a quiet minute", n, verb)
		}
	}
}

func TestACreationIsPolledAsOftenAsAzureWants(t *testing.T) {
	t.Parallel()
	a := newAzure(t, armemulator.Options{})
	p, r := a.provider(), request(1)
	r.Token = ensure(t, p, r).Token
	for range 60 { // Azure says: every 5 seconds
		a.clock.Step(time.Second)
		if o := observe(t, p, r); o.State != node.Creating {
			t.Fatalf("it is %s", o.State)
		}
	}
	got := a.Counts()
	if polls := got.Requests[armemulator.VerbPoll]; polls < 10 || polls > 13 {
		t.Errorf("%d polls in a minute, want 12", polls)
	}
	if puts := got.Requests[armemulator.VerbPut]; puts != 1 {
		t.Errorf("%d puts", puts)
	}
}

func TestACreationInTheWayOfARemovalIsGivenUp(t *testing.T) {
	t.Parallel()
	a := newAzure(t, armemulator.Options{})
	p, r := a.provider(), request(1)
	ensure(t, p, r)
	_, err := p.Remove(t.Context(), r.Key, r.Owner)
	if e := p.Classify(err); e.Class != node.Conflict || !strings.Contains(e.Message, "given up") {
		t.Errorf("got %v, want a conflict that says so", err)
	}
	if n := a.Counts().Accepted[armemulator.VerbAbort]; n != 1 {
		t.Errorf("%d creations were given up", n)
	}
	a.clock.Step(time.Hour)
	if o, err := p.Remove(t.Context(), r.Key, r.Owner); err != nil || o.State != node.Deleting {
		t.Errorf("%s, %v", o.State, err)
	}
}

// seen is a call as it left.
type seen struct {
	method, match, noneMatch, query string
}

// watched notes calls before it makes them.
type watched struct {
	*http.Client
	mu    sync.Mutex
	calls []seen
}

func (w *watched) Do(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.calls = append(w.calls, seen{r.Method, r.Header.Get("If-Match"), r.Header.Get("If-None-Match"), r.URL.RawQuery})
	w.mu.Unlock()
	return w.Client.Do(r)
}

func TestChangesActOnWhatWasSeenAlone(t *testing.T) {
	t.Parallel()
	a := newAzure(t, armemulator.Options{})
	w := &watched{Client: a.HTTP}
	options := *a.ClientOptions()
	options.Transport = w
	p, err := aks.New(aks.Options{
		Subscription: armemulatortest.Subscription, Group: group, Cluster: cluster, Credential: a.Credential, Client: options, Clock: a.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := request(1)
	ensure(t, p, r)
	a.clock.Step(time.Hour)
	now, err := a.pools.Get(t.Context(), group, cluster, string(r.Key), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Remove(t.Context(), r.Key, r.Owner); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.calls {
		switch {
		case c.method == http.MethodPut && c.noneMatch != "*":
			t.Errorf("a put may change what is there: %+v", c)
		case c.method == http.MethodDelete && (c.match == "" || c.match != *now.Properties.ETag):
			t.Errorf("a delete is for the version %q, want %q", c.match, *now.Properties.ETag)
		case c.method == http.MethodDelete && !strings.Contains(c.query, "ignore-pod-disruption-budget=true"):
			t.Errorf("a delete waits for budgets: %+v", c)
		}
	}
	if !slices.ContainsFunc(w.calls, func(c seen) bool { return c.method == http.MethodDelete }) {
		t.Error("nothing was deleted")
	}
}

func TestAListThatIsBehindHidesNothing(t *testing.T) {
	t.Parallel()
	a := newAzure(t, armemulator.Options{})
	stale := armemulator.Fault{On: armemulator.VerbList, Times: -1, Do: armemulator.DoStale}
	if err := a.Server.Inject(stale); err != nil {
		t.Fatal(err)
	}
	p, r := a.provider(), request(1)
	ensure(t, p, r)
	a.clock.Step(time.Hour)
	if o := observe(t, p, r); o.State != node.Ready {
		t.Errorf("a pool that the list does not show yet is %s", o.State)
	}
	ensure(t, p, r)
	if puts := a.Counts().Requests[armemulator.VerbPut]; puts != 1 {
		t.Errorf("%d puts", puts)
	}
}

func TestAnOperationThatMayNotBeReadIsSeenByItsPool(t *testing.T) {
	t.Parallel()
	a := newAzure(t, armemulator.Options{})
	fault := armemulator.Fault{On: armemulator.VerbPoll, Times: -1, Do: armemulator.DoRefuse, Say: "forbidden"}
	if err := a.Server.Inject(fault); err != nil {
		t.Fatal(err)
	}
	p, r := a.provider(), request(1)
	r.Token = ensure(t, p, r).Token
	a.clock.Step(time.Minute)
	if o := observe(t, p, r); o.State != node.Creating {
		t.Errorf("it is %s", o.State)
	}
	a.clock.Step(time.Hour)
	if o := observe(t, p, r); o.State != node.Ready {
		t.Errorf("it is %s", o.State)
	}
	if polls := a.Counts().Requests[armemulator.VerbPoll]; polls != 1 {
		t.Errorf("%d polls", polls)
	}
}

// Tokens stand on claims, where others may write: they must not lead our bearer token astray.
func TestATokenCannotLeadElsewhere(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		fmt.Fprint(w, `{"status":"Succeeded"}`)
	}))
	defer elsewhere.Close()
	for name, state := range map[string]string{"running": "InProgress", "over": "Succeeded", "failed": "Failed", "of no state": ""} {
		a := newAzure(t, armemulator.Options{})
		r := request(1)
		ensure(t, a.provider(), r)
		operation, err := json.Marshal(map[string]any{
			"type": "AgentPoolsClientCreateOrUpdateResponse",
			"token": map[string]string{
				"asyncURL": elsewhere.URL + "/steal", "locURL": elsewhere.URL + "/steal", "origURL": elsewhere.URL + "/steal", "method": "PUT", "state": state,
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := json.Marshal(map[string]string{"key": string(r.Key), "operation": string(operation)})
		if err != nil {
			t.Fatal(err)
		}
		r.Token = string(kept)
		if o := observe(t, a.provider(), r); o.State != node.Creating {
			t.Errorf("%s: it is %s", name, o.State)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d calls went to another host", n)
	}
}

func FuzzToken(f *testing.F) {
	f.Add(`{"key":"k","operation":"{}"}`)
	f.Add(`{"key":"ktoe2mc444sn","operation":"{\"type\":\"AgentPoolsClientCreateOrUpdateResponse\",\"token\":{\"asyncURL\":\"x\",\"state\":\"Succeeded\"}}"}`)
	f.Fuzz(func(t *testing.T, operation string) {
		s := newSDK()
		r := request(1)
		s.pools[string(r.Key)] = &armcontainerservice.AgentPool{Name: to.Ptr(string(r.Key)), Properties: &armcontainerservice.ManagedClusterAgentPoolProfileProperties{
			ProvisioningState: to.Ptr("Creating"), VMSize: to.Ptr("Standard_D4s_v5"),
		}}
		kept, err := json.Marshal(map[string]string{"key": string(r.Key), "operation": operation})
		if err != nil {
			t.Skip("no text")
		}
		if _, err := s.provider(t).Observe(t.Context(), r.Key, string(kept)); err != nil && s.provider(t).Classify(err).Message == "" {
			t.Errorf("the token %q: %v", kept, err)
		}
	})
}

func TestOffers(t *testing.T) {
	t.Parallel()
	a := newAzure(t, armemulator.Options{})
	p, err := aks.New(aks.Options{
		Subscription: armemulatortest.Subscription, Group: group, Cluster: cluster, Credential: a.Credential, Client: *a.ClientOptions(), Clock: a.clock,
		Zones: []string{"1", "3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		shape node.Shape
		want  []string
		fix   string
	}{
		"by region, then the zones of the options": {
			shape: node.Shape{InstanceTypes: []string{"standard_nc24ads_a100_v4"}},
			want:  []string{"Standard_NC24ads_A100_v4 on-demand  1", "Standard_NC24ads_A100_v4 on-demand 1 1", "Standard_NC24ads_A100_v4 on-demand 3 1"},
		},
		"the claim's zones alone": {
			shape: node.Shape{InstanceTypes: []string{"Standard_D4s_v5"}, Zones: []string{"eastus-2"}, CapacityTypes: []string{"spot", "on-demand"}},
			want:  []string{"Standard_D4s_v5 spot eastus-2 0", "Standard_D4s_v5 on-demand eastus-2 0"},
		},
		"a size that the table does not hold": {
			shape: node.Shape{InstanceTypes: []string{"Standard_NV12ads_A10_v5"}, Zones: []string{"1"}}, want: []string{"Standard_NV12ads_A10_v5 on-demand 1 0"},
		},
		"another cloud's type":      {shape: node.Shape{InstanceTypes: []string{"g5.2xlarge"}}, fix: "Name a size"},
		"a slip":                    {shape: node.Shape{InstanceTypes: []string{"NC24ads_A100_v4"}}, fix: "Standard_NC24ads_A100_v4"},
		"an unknown capacity type":  {shape: node.Shape{InstanceTypes: []string{"Standard_D4s_v5"}, CapacityTypes: []string{"free"}}, fix: "on-demand"},
		"one known, one not":        {shape: node.Shape{InstanceTypes: []string{"x", "Standard_D4s_v5"}, Zones: []string{"1"}}, want: []string{"Standard_D4s_v5 on-demand 1 0"}},
		"a name that goes too far":  {shape: node.Shape{InstanceTypes: []string{"Standard_D" + strings.Repeat("4", 80)}}, fix: "Name a size"},
		"a name with a path in it":  {shape: node.Shape{InstanceTypes: []string{"Standard_D4/../x"}}, fix: "Standard_D4s_v5"},
		"nothing that is asked for": {fix: "Name an instance type"},
	} {
		offers, err := p.Offers(t.Context(), tc.shape)
		var got []string
		for _, o := range offers {
			got = append(got, fmt.Sprintf("%s %s %s %d", o.InstanceType, o.CapacityType, o.Zone, o.GPUs))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: offers (-want +got):\n%s", name, diff)
		}
		if tc.fix != "" && (err == nil || !strings.Contains(p.Classify(err).Fix, tc.fix)) {
			t.Errorf("%s: advice %+v, want %q", name, p.Classify(err), tc.fix)
		}
	}
}
