package armemulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aks "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/armemulatortest"
)

func TestPutsAreRefusedAsAzureDoes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		name   string
		pool   func(*aks.ManagedClusterAgentPoolProfileProperties)
		code   string
		status int
		says   string
	}{
		"a name with a hyphen":         {name: "gpu-pool", code: "InvalidParameter", status: 400, says: "agentPoolProfile.name"},
		"a name that is too long":      {name: "k123456789012", code: "InvalidParameter", status: 400, says: "agentPoolProfile.name"},
		"a name that begins with a 1":  {name: "1gpu", code: "InvalidParameter", status: 400, says: "agentPoolProfile.name"},
		"a name in capitals":           {name: "GPU", code: "InvalidParameter", status: 400, says: "agentPoolProfile.name"},
		"a size that nobody has heard": {pool: size("Standard_NC25"), code: "VMSizeNotSupported", status: 400, says: "Virtual Machine size: 'Standard_NC25' is not supported"},
		"a size that is retired":       {pool: size("Standard_NC6s_v3"), code: "VMSizeNotSupported", status: 400, says: "the size has been retired"},
		"a size of another region":     {pool: size("Standard_ND96isr_H100_v5"), code: "SkuNotAvailable", status: 400, says: "'Following SKUs have failed for Capacity Restrictions: Standard_ND96isr_H100_v5' is currently not available in location 'eastus'"},
		"no size":                      {pool: func(p *aks.ManagedClusterAgentPoolProfileProperties) { p.VMSize = nil }, code: "InvalidParameter", status: 400, says: "vmSize"},
		"a zone that is not there":     {pool: func(p *aks.ManagedClusterAgentPoolProfileProperties) { p.AvailabilityZones = []*string{to.Ptr("4")} }, code: "AvailabilityZoneNotSupported", status: 400, says: "'1,2,3'"},
		"too many machines":            {pool: func(p *aks.ManagedClusterAgentPoolProfileProperties) { p.Count = to.Ptr[int32](1001) }, code: "InvalidParameter", status: 400, says: "agentPoolProfile.count was 1001"},
		"a label that is none":         {pool: func(p *aks.ManagedClusterAgentPoolProfileProperties) { p.NodeLabels["at"] = to.Ptr("12:30") }, code: "InvalidParameter", status: 400, says: "nodeLabels"},
		"a label of the service's own": {pool: func(p *aks.ManagedClusterAgentPoolProfileProperties) {
			p.NodeLabels["kubernetes.azure.com/mode"] = to.Ptr("user")
		}, code: "InvalidParameter", status: 400, says: "reserved"},
		"a taint without an effect": {pool: func(p *aks.ManagedClusterAgentPoolProfileProperties) { p.NodeTaints = []*string{to.Ptr("sku=gpu")} }, code: "InvalidParameter", status: 400, says: "nodeTaints"},
		"a tag with a slash":        {pool: func(p *aks.ManagedClusterAgentPoolProfileProperties) { p.Tags["kaito.sh/claim"] = to.Ptr("a") }, code: "InvalidParameter", status: 400, says: "tags"},
		"a disk that is too small":  {pool: func(p *aks.ManagedClusterAgentPoolProfileProperties) { p.OSDiskSizeGB = to.Ptr[int32](5) }, code: "InvalidParameter", status: 400, says: "osDiskSizeGB"},
		"more than the family's quota": {
			pool: func(p *aks.ManagedClusterAgentPoolProfileProperties) { p.Count = to.Ptr[int32](2) },
			code: "ErrCode_InsufficientVCPUQuota", status: 400, says: "Insufficient vcpu quota requested 48, remaining 30 for family StandardNCADSA100v4Family for region eastus",
		},
		"a quota of zero":              {pool: size("Standard_NC40ads_H100_v5"), code: "ErrCode_InsufficientVCPUQuota", status: 400, says: "requested 40, remaining 0"},
		"more than the region's quota": {pool: size("Standard_ND96asr_v4"), code: "ErrCode_InsufficientVCPUQuota", status: 400, says: "left regional vcpu quota 90, requested quota 96"},
		"more than the quota of spot machines": {pool: func(p *aks.ManagedClusterAgentPoolProfileProperties) {
			p.ScaleSetPriority = to.Ptr(aks.ScaleSetPrioritySpot)
		}, code: "ErrCode_InsufficientVCPUQuota", status: 400, says: "lowPriorityCores"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, armemulator.Options{
				NotInRegion: []string{"Standard_ND96isr_H100_v5"},
				Quotas: armemulator.Quotas{
					Families: map[string]int{"standardncadsa100v4family": 30, "StandardNCADSH100v5Family": 0}, Regional: to.Ptr(90), Spot: to.Ptr(10),
				},
			})
			pool := gpuPool()
			if c.pool != nil {
				c.pool(pool.Properties)
			}
			if c.name == "" {
				c.name = "kabc"
			}
			_, err := a.put(c.name, pool)
			code, status := refused(t, err)
			if code != c.code || status != c.status || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %d %s, want %d %s with %q:\n%v", status, code, c.status, c.code, c.says, err)
			}
			if n := a.Counts(); n.Rejected[c.code] != 1 || n.Requests["put"] != 1 || n.Accepted["put"] != 0 || len(a.Pools()) != 0 {
				t.Errorf("counted %+v, pools %v", n, a.Pools())
			}
		})
	}
}

func size(name string) func(*aks.ManagedClusterAgentPoolProfileProperties) {
	return func(p *aks.ManagedClusterAgentPoolProfileProperties) { p.VMSize = &name }
}

func TestWhatIsNotThereIsSaidInAzuresWords(t *testing.T) {
	t.Parallel()
	a, ctx := start(t, armemulator.Options{}), t.Context()
	get := func(subscription, group, cluster string) error {
		_, err := a.client(subscription).Get(ctx, group, cluster, "kabc", nil)
		return err
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"subscription": {get("11111111-0000-0000-0000-000000000000", group, cluster), "SubscriptionNotFound"},
		"group":        {get(armemulatortest.Subscription, "other", cluster), "ResourceGroupNotFound"},
		"cluster":      {get(armemulatortest.Subscription, group, "other"), "ResourceNotFound"},
		"pool":         {get(armemulatortest.Subscription, group, cluster), "NotFound"},
	} {
		if code, status := refused(t, c.err); code != c.want || status != 404 || a.Counts().Rejected[c.want] != 1 {
			t.Errorf("%s: %d %s, counted %v", name, status, code, a.Counts().Rejected)
		}
	}
	if err := get(strings.ToUpper(armemulatortest.Subscription), "MODELS", "GPU"); !strings.Contains(err.Error(), "Agent Pool not found") {
		t.Errorf("names in capitals: %v", err)
	}
}

func TestAWrongVersionOrNoTokenIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	path := "/subscriptions/" + armemulatortest.Subscription + "/resourceGroups/models/providers/Microsoft.ContainerService/managedClusters/gpu/agentPools"
	for name, c := range map[string]struct {
		path, token, code string
		status            int
	}{
		"no version":             {path, "Bearer x", "MissingApiVersionParameter", 400},
		"an unknown version":     {path + "?api-version=2015-01-01", "Bearer x", "InvalidApiVersionParameter", 400},
		"no token":               {path + "?api-version=2025-02-01", "", "AuthenticationFailed", 401},
		"another kind of token":  {path + "?api-version=2025-02-01", "Basic x", "AuthenticationFailed", 401},
		"an address of no type":  {"/subscriptions/x/providers/Microsoft.Compute/virtualMachines?api-version=2025-02-01", "Bearer x", "InvalidResourceType", 404},
		"an address of nothing":  {"/favicon.ico", "", "InvalidResourceType", 404},
		"nothing wrong, to know": {path + "?api-version=2025-02-01", "Bearer x", "", 200},
	} {
		before := a.Counts().Rejected[c.code]
		code, status := a.raw(http.MethodGet, c.path, c.token, "")
		if code != c.code || status != c.status || c.code != "" && a.Counts().Rejected[c.code] != before+1 {
			t.Errorf("%s: %d %s, counted %v", name, status, code, a.Counts().Rejected)
		}
	}
	if code, status := a.raw(http.MethodPut, path+"/kabc?api-version=2025-02-01", "Bearer x", `{"properties": {"count": "one"}}`); code != "InvalidRequestContent" || status != 400 {
		t.Errorf("a body of wrong types: %d %s", status, code)
	}
	if code, status := a.raw(http.MethodPost, path+"/kabc/abort?api-version=2025-02-01", "Bearer x", ""); code != "NotFound" || status != 404 {
		t.Errorf("aborting what is not there: %d %s", status, code)
	}
}

// raw makes a call without the official client.
func (a *azure) raw(method, path, token, body string) (code string, status int) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.URL+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	resp, err := a.HTTP.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	var answer struct {
		Code  string `json:"code"`
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		a.t.Fatalf("%s: %v", data, err)
	}
	return answer.Code + answer.Error.Code, resp.StatusCode
}

func TestOperationsOnOnePoolExcludeEachOther(t *testing.T) {
	t.Parallel()
	a, ctx := start(t, armemulator.Options{MaxPools: 2}), t.Context()
	if _, err := a.put("ka", gpuPool()); err != nil {
		t.Fatal(err)
	}
	_, again := a.put("ka", gpuPool())
	_, deletion := a.pools.BeginDelete(ctx, group, cluster, "ka", nil)
	for name, err := range map[string]error{"a put": again, "a deletion": deletion} {
		code, status := refused(t, err)
		if code != "OperationNotAllowed" || status != 409 || !strings.Contains(err.Error(), "Another agentpool operation (ka - Creating) is in progress") {
			t.Errorf("%s meanwhile: %v", name, err)
		}
	}
	_, err := a.pools.BeginCreateOrUpdate(ctx, group, cluster, "ka", gpuPool(), &aks.AgentPoolsClientBeginCreateOrUpdateOptions{IfNoneMatch: to.Ptr("*")})
	if code, status := refused(t, err); code != "PreconditionFailed" || status != 412 {
		t.Errorf("a put for a new pool: %d %s", status, code)
	}
	_, err = a.pools.BeginCreateOrUpdate(ctx, group, cluster, "kb", gpuPool(), &aks.AgentPoolsClientBeginCreateOrUpdateOptions{IfMatch: to.Ptr("x")})
	if code, status := refused(t, err); code != "PreconditionFailed" || status != 412 {
		t.Errorf("a put for an old pool: %d %s", status, code)
	}
	a.created("kb", gpuPool())
	_, err = a.put("kc", gpuPool())
	if code, _ := refused(t, err); code != "MaxAgentPoolCountReached" {
		t.Errorf("a third pool of two: %s", code)
	}
	other := gpuPool()
	other.Properties.VMSize = to.Ptr("Standard_D4s_v5")
	_, err = a.put("kb", other)
	if code, _ := refused(t, err); code != "PropertyChangeNotAllowed" {
		t.Errorf("another size: %s", code)
	}
}

func TestEveryMessageHasItsWords(t *testing.T) {
	t.Parallel()
	all, err := armemulator.Messages()
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range all {
		if m.Status < 400 || m.Status > 599 || m.Code == "" || m.Text == "" {
			t.Errorf("message %q is not whole: %+v", name, m)
		}
	}
	for name, code := range map[string]string{"busy": "OperationNotAllowed", "quota-family-compute": "OperationNotAllowed", "zonal-allocation-failed": "ZonalAllocationFailed"} {
		if all[name].Code != code {
			t.Errorf("message %q has code %q", name, all[name].Code)
		}
	}
}
