package armemulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aks "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/armemulator"
	"kaito.sh/kaito/internal/armemulator/armemulatortest"
)

func TestAPoolIsMadeAndRemoved(t *testing.T) {
	t.Parallel()
	a, ctx := start(t, armemulator.Options{}), t.Context()
	poller, err := a.put("kabc", gpuPool())
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := poller.Poll(ctx); err != nil || poller.Done() || resp.StatusCode != http.StatusOK {
		t.Fatalf("first poll: done %v, error %v", poller.Done(), err)
	}
	got, err := a.pools.Get(ctx, group, cluster, "kabc", nil)
	if err != nil || *got.Properties.ProvisioningState != "Creating" {
		t.Fatalf("meanwhile the pool is %v, error %v", got.Properties, err)
	}
	a.clock.Step(time.Minute)
	done, err := finished(ctx, poller)
	if err != nil {
		t.Fatal(err)
	}
	p := done.Properties
	if *p.ProvisioningState != "Succeeded" || *p.ETag == *got.Properties.ETag || *p.Tags["kaito-claim"] != "one" || *p.OSDiskSizeGB != 128 {
		t.Errorf("the pool is %+v", p)
	}
	wantID := "/subscriptions/" + armemulatortest.Subscription + "/resourceGroups/models/providers/Microsoft.ContainerService/managedClusters/gpu/agentPools/kabc"
	if *done.ID != wantID {
		t.Errorf("its id is %s", *done.ID)
	}
	deletion, err := a.pools.BeginDelete(ctx, group, cluster, "kabc", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.pools.Get(ctx, group, cluster, "kabc", nil); err != nil || *got.Properties.ProvisioningState != "Deleting" {
		t.Errorf("meanwhile: %v %v", got.Properties, err)
	}
	a.clock.Step(time.Minute)
	if _, err := finished(ctx, deletion); err != nil {
		t.Fatal(err)
	}
	_, err = a.pools.Get(ctx, group, cluster, "kabc", nil)
	if code, status := refused(t, err); code != "NotFound" || status != 404 {
		t.Errorf("afterwards: %s %d", code, status)
	}
	if again, err := a.pools.BeginDelete(ctx, group, cluster, "kabc", nil); err != nil || !again.Done() {
		t.Errorf("deleting what is not there: %v", err)
	}
	if left := a.Machines.There(); len(left) != 0 {
		t.Errorf("machines are left: %v", left)
	}
	counts := a.Counts()
	if counts.Requests["put"] != 1 || counts.Accepted["put"] != 1 || counts.Requests["delete"] != 2 || counts.Accepted["delete"] != 1 || counts.Requests["poll"] < 3 {
		t.Errorf("counted %+v", counts)
	}
}

func TestGPUsOfAMDs(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	pool := gpuPool()
	pool.Properties.VMSize = to.Ptr("Standard_ND96isr_MI300X_v5")
	a.created("kamd", pool)
	there := a.Machines.There()
	if len(there) != 1 || there[0].GPUs != 8 || there[0].GPUResource != "amd.com/gpu" {
		t.Fatalf("machines: %+v", there)
	}
	labels := there[0].Labels
	if labels["amd.com/gpu.product-name"] != "AMD_Instinct_MI300X" || labels["amd.com/gpu.vram"] != "192G" || labels["nvidia.com/gpu.product"] != "" {
		t.Errorf("labels %v", labels)
	}
}

func TestAMachineLooksAsAzureMakesIt(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	pool := gpuPool()
	pool.Properties.AvailabilityZones = []*string{to.Ptr("2")}
	pool.Properties.ScaleSetPriority = to.Ptr(aks.ScaleSetPrioritySpot)
	a.created("kabc", pool)
	there := a.Machines.There()
	if len(there) != 1 {
		t.Fatalf("machines: %v", there)
	}
	m := there[0]
	digits := strings.TrimSuffix(strings.TrimPrefix(m.Node, "aks-kabc-"), "-vmss000000")
	if len(digits) != 8 {
		t.Fatalf("node %s", m.Node)
	}
	id := "/subscriptions/" + armemulatortest.Subscription + "/resourceGroups/%s/providers/Microsoft.Compute/virtualMachineScaleSets/aks-kabc-" + digits + "-vmss/virtualMachines/0"
	want := armemulator.Machine{
		Node: m.Node, Pool: "kabc", Size: gpuSize, GPUs: 1, Taints: []string{"sku=gpu:NoSchedule", "kubernetes.azure.com/scalesetpriority=spot:NoSchedule"},
		ProviderID: "azure://" + fmt.Sprintf(id, "mc_models_gpu_eastus"), ResourceID: fmt.Sprintf(id, "MC_models_gpu_eastus"),
		Labels: map[string]string{
			"agentpool": "kabc", "kubernetes.azure.com/agentpool": "kabc", "kubernetes.azure.com/role": "agent", "kubernetes.azure.com/mode": "user",
			"kubernetes.azure.com/os-sku": "Ubuntu", "kubernetes.azure.com/cluster": "MC_models_gpu_eastus",
			"kubernetes.azure.com/scalesetpriority": "spot", "node.kubernetes.io/instance-type": gpuSize,
			"topology.kubernetes.io/region": "eastus", "topology.kubernetes.io/zone": "eastus-2",
			"accelerator": "nvidia", "kubernetes.azure.com/accelerator": "nvidia", "nvidia.com/gpu.count": "1",
			"nvidia.com/gpu.product": "NVIDIA-A100", "nvidia.com/gpu.memory": "74547", "nvidia.com/gpu.compute.major": "8", "nvidia.com/gpu.compute.minor": "0",
			"kaito.sh/workspace": "falcon",
		},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("machine (-want +got):\n%s", diff)
	}
	client, err := aks.NewMachinesClient(armemulatortest.Subscription, a.Credential, a.ClientOptions())
	if err != nil {
		t.Fatal(err)
	}
	page, err := client.NewListPager(group, cluster, "kabc", nil).NextPage(t.Context())
	if err != nil || len(page.Value) != 1 || *page.Value[0].Name != m.Node || *page.Value[0].Properties.ResourceID != m.ResourceID {
		t.Errorf("machines of the pool: %+v, %v", page.Value, err)
	}
	one, err := client.Get(t.Context(), group, cluster, "kabc", m.Node, nil)
	if err != nil || *one.Name != m.Node {
		t.Errorf("one machine: %+v, %v", one, err)
	}
	_, err = client.Get(t.Context(), group, cluster, "kabc", "another", nil)
	if code, _ := refused(t, err); code != "NotFound" {
		t.Errorf("a machine that is not there: %s", code)
	}
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{PageSize: 2})
	for _, name := range []string{"kd", "ka", "kc", "kb", "ke"} {
		a.created(name, gpuPool())
	}
	var names []string
	pages := 0
	for pager := a.pools.NewListPager(group, cluster, nil); pager.More(); pages++ {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Value {
			names = append(names, *p.Name)
		}
	}
	if diff := cmp.Diff([]string{"ka", "kb", "kc", "kd", "ke"}, names); diff != "" || pages != 3 {
		t.Errorf("%d pages (-want +got):\n%s", pages, diff)
	}
}

func TestACrashedClientGoesOnByItsToken(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	poller, err := a.put("kabc", gpuPool())
	if err != nil {
		t.Fatal(err)
	}
	token, err := poller.ResumeToken()
	if err != nil || len(token) > 4096 {
		t.Fatalf("token of %d bytes, %v", len(token), err)
	}
	a.clock.Step(time.Minute)
	again, err := a.client(armemulatortest.Subscription).BeginCreateOrUpdate(t.Context(), group, cluster, "kabc", aks.AgentPool{},
		&aks.AgentPoolsClientBeginCreateOrUpdateOptions{ResumeToken: token})
	if err != nil {
		t.Fatal(err)
	}
	done, err := finished(t.Context(), again)
	if err != nil || *done.Properties.ProvisioningState != "Succeeded" {
		t.Errorf("resumed: %v %v", done.Properties, err)
	}
	if n := a.Counts().Requests["put"]; n != 1 {
		t.Errorf("%d puts", n)
	}
}

func TestAPoolGrowsAndShrinks(t *testing.T) {
	t.Parallel()
	a, ctx := start(t, armemulator.Options{}), t.Context()
	first := a.created("kabc", gpuPool())
	three := gpuPool()
	three.Properties.Count = to.Ptr[int32](3)
	stale := *first.Properties.ETag
	grown := a.created("kabc", three)
	if *grown.Properties.Count != 3 || len(a.Machines.There()) != 3 || *grown.Properties.ETag == stale {
		t.Fatalf("grown to %d machines, pool %+v", len(a.Machines.There()), grown.Properties)
	}
	middle := a.Machines.There()[1].Node
	poller, err := a.pools.BeginDeleteMachines(ctx, group, cluster, "kabc", aks.AgentPoolDeleteMachinesParameter{MachineNames: []*string{&middle}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.clock.Step(time.Minute)
	if _, err := finished(ctx, poller); err != nil {
		t.Fatal(err)
	}
	got, err := a.pools.Get(ctx, group, cluster, "kabc", nil)
	if err != nil || *got.Properties.Count != 2 || *got.Properties.ProvisioningState != "Succeeded" {
		t.Errorf("after removing one: %+v %v", got.Properties, err)
	}
	var left []string
	for _, m := range a.Machines.There() {
		left = append(left, strings.TrimPrefix(m.Node, middle[:len(middle)-1]))
	}
	if diff := cmp.Diff([]string{"0", "2"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	_, err = a.pools.BeginCreateOrUpdate(ctx, group, cluster, "kabc", three, &aks.AgentPoolsClientBeginCreateOrUpdateOptions{IfMatch: &stale})
	if code, status := refused(t, err); code != "PreconditionFailed" || status != 412 || a.Counts().Rejected["PreconditionFailed"] != 1 {
		t.Errorf("a stale ETag: %s %d", code, status)
	}
	_, err = a.pools.BeginDelete(ctx, group, cluster, "kabc", &aks.AgentPoolsClientBeginDeleteOptions{IfMatch: &stale})
	if code, _ := refused(t, err); code != "PreconditionFailed" {
		t.Errorf("a stale ETag of a deletion: %s", code)
	}
	back := a.created("kabc", gpuPool())
	if *back.Properties.Count != 1 || len(a.Machines.There()) != 1 {
		t.Errorf("shrunk to %d machines", len(a.Machines.There()))
	}
}

func TestAnAbortedCreationLeavesNoMachine(t *testing.T) {
	t.Parallel()
	a, ctx := start(t, armemulator.Options{}), t.Context()
	a.Machines.Hold()
	creation, err := a.put("kabc", gpuPool())
	if err != nil {
		t.Fatal(err)
	}
	a.clock.Step(time.Hour)
	if _, err := creation.Poll(ctx); err != nil || creation.Done() {
		t.Fatalf("a machine that has not booted: done %v, %v", creation.Done(), err)
	}
	abort, err := a.pools.BeginAbortLatestOperation(ctx, group, cluster, "kabc", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.pools.Get(ctx, group, cluster, "kabc", nil)
	if err != nil || *got.Properties.ProvisioningState != "Canceling" {
		t.Errorf("meanwhile: %v %v", got.Properties, err)
	}
	_, err = a.pools.BeginAbortLatestOperation(ctx, group, cluster, "kabc", nil)
	if code, status := refused(t, err); code != "OperationNotAllowed" || status != 409 {
		t.Errorf("a second abort: %s %d", code, status)
	}
	a.clock.Step(time.Minute)
	if _, err := finished(ctx, abort); err != nil {
		t.Fatal(err)
	}
	if _, err := finished(ctx, creation); err == nil {
		t.Error("the aborted creation succeeded")
	}
	if got, err := a.pools.Get(ctx, group, cluster, "kabc", nil); err != nil || *got.Properties.ProvisioningState != "Canceled" {
		t.Errorf("afterwards: %v %v", got.Properties, err)
	}
	a.Machines.Release()
	if there := a.Machines.There(); len(there) != 0 {
		t.Errorf("machines: %v", there)
	}
	deletion, err := a.pools.BeginDelete(ctx, group, cluster, "kabc", nil)
	if err != nil {
		t.Fatal(err)
	}
	a.clock.Step(time.Minute)
	if _, err := finished(ctx, deletion); err != nil {
		t.Error(err)
	}
}

func TestTheClusterShowsItsPools(t *testing.T) {
	t.Parallel()
	a := start(t, armemulator.Options{})
	a.created("kabc", gpuPool())
	client, err := aks.NewManagedClustersClient(armemulatortest.Subscription, a.Credential, a.ClientOptions())
	if err != nil {
		t.Fatal(err)
	}
	one, err := client.Get(t.Context(), group, cluster, nil)
	if err != nil || *one.Properties.NodeResourceGroup != "MC_models_gpu_eastus" || len(one.Properties.AgentPoolProfiles) != 1 || *one.Properties.AgentPoolProfiles[0].Name != "kabc" {
		t.Errorf("cluster %+v, %v", one.Properties, err)
	}
	page, err := client.NewListPager(nil).NextPage(t.Context())
	if err != nil || len(page.Value) != 1 || *page.Value[0].Name != cluster {
		t.Errorf("clusters %+v, %v", page.Value, err)
	}
}
