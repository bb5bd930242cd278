package nodeshape_test

import (
	"maps"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/nodeshape"
)

// offer are devices by what their plugin calls them.
type offer map[corev1.ResourceName]string

// labels of nodes.
type labels map[string]string

func (l labels) with(more labels) labels {
	all := maps.Clone(l)
	maps.Copy(all, more)
	return all
}

func amounts(o offer) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, amount := range o {
		list[name] = resource.MustParse(amount)
	}
	return list
}

func node(devices offer, has labels) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: has}, Status: corev1.NodeStatus{Allocatable: amounts(devices)}}
	n.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("23800m")
	n.Status.Allocatable[corev1.ResourceMemory] = resource.MustParse("220Gi")
	n.Status.Allocatable[corev1.ResourceEphemeralStorage] = resource.MustParse("100Gi")
	return n
}

// a100 are the labels of one, as GPU feature discovery writes them.
func a100() labels {
	return labels{
		"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory": "81920", "nvidia.com/gpu.count": "1",
		"nvidia.com/gpu.compute.major": "8", "nvidia.com/gpu.compute.minor": "0", "nvidia.com/mig.capable": "true",
	}
}

// mi300x are those of AMD's labeller.
func mi300x() labels {
	return labels{
		"amd.com/gpu.cu-count": "304", "amd.com/gpu.device-id": "74a1", "amd.com/gpu.family": "AI", "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
		"amd.com/gpu.simd-count": "1216", "amd.com/gpu.vram": "192G", "amd.com/compute-memory-partition": "spx_nps1",
	}
}

func TestNVIDIA(t *testing.T) {
	t.Parallel()
	discovered := model.GPUs{
		Count: 1, Product: "NVIDIA A100 SXM4 80GB", Kind: model.Label{Key: "nvidia.com/gpu.product", Value: "NVIDIA-A100-SXM4-80GB"},
		Memory: 80 * model.GiB, Capability: model.Capability{Major: 8},
	}
	quarter := discovered
	quarter.Memory /= 4
	published := model.GPUs{
		Count: 4, Product: "NVIDIA T4", Kind: model.Label{Key: corev1.LabelInstanceTypeStable, Value: "Standard_NC64as_T4_v3"},
		Memory: model.Nominal(16), Capability: model.Capability{Major: 7, Minor: 5},
	}
	slice := model.GPUs{
		Count: 7, Product: "NVIDIA A100 SXM4 80GB MIG 1g.10gb", Kind: model.Label{Key: "nvidia.com/gpu.product", Value: "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"},
		Memory: 9728 * model.MiB, Capability: model.Capability{Major: 8}, Slice: "1g.10gb",
	}
	single := a100().with(labels{"nvidia.com/mig.strategy": "single", "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "nvidia.com/gpu.memory": "9728", "nvidia.com/gpu.count": "7"})
	ofMixed := slice
	ofMixed.Resource, ofMixed.Kind.Key = "nvidia.com/mig-1g.10gb", "nvidia.com/mig-1g.10gb.product"
	mixed := a100().with(labels{"nvidia.com/mig.strategy": "mixed", "nvidia.com/mig-1g.10gb.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "nvidia.com/mig-1g.10gb.memory": "9728"})
	untold := ofMixed
	untold.Kind, untold.Memory = discovered.Kind, model.Nominal(10)
	sharedSlice := slice
	sharedSlice.Count, sharedSlice.Memory = 1, slice.Memory/2
	sharedSlice.Product, sharedSlice.Kind.Value = slice.Product+" SHARED", slice.Kind.Value+"-SHARED"
	const whole, cut = model.ResourceNVIDIA, "nvidia.com/mig-1g.10gb"
	for name, tc := range map[string]struct {
		devices offer
		labels  labels
		want    []model.GPUs
	}{
		"none":                {offer{whole: "0"}, a100(), []model.GPUs{{}}},
		"what was discovered": {offer{whole: "1"}, a100(), []model.GPUs{discovered}},
		"what was discovered before what is published": {offer{whole: "1"}, a100().with(labels{corev1.LabelInstanceTypeStable: "Standard_NC64as_T4_v3"}), []model.GPUs{discovered}},
		"what is published":                            {offer{whole: "4"}, labels{corev1.LabelInstanceTypeStable: "Standard_NC64as_T4_v3"}, []model.GPUs{published}},
		"one card that several pods share":             {offer{whole: "4"}, a100().with(labels{"nvidia.com/gpu.replicas": "4"}), []model.GPUs{quarter}},
		"nothing but their number":                     {offer{whole: "2"}, nil, []model.GPUs{{Count: 2}}},
		"labels that say nothing":                      {offer{whole: "2"}, labels{"nvidia.com/gpu.memory": "lots", "nvidia.com/gpu.compute.major": "-8"}, []model.GPUs{{Count: 2}}},
		"a type that nobody knows":                     {offer{whole: "2"}, labels{corev1.LabelInstanceTypeStable: "huge"}, []model.GPUs{{Count: 2}}},
		"slices that are called GPUs":                  {offer{whole: "7"}, single, []model.GPUs{slice}},
		"slices that several pods share": {offer{whole: "14"}, single.with(labels{
			"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb-SHARED", "nvidia.com/gpu.replicas": "2",
		}), []model.GPUs{sharedSlice}},
		"slices beside whole GPUs":       {offer{whole: "1", cut: "7"}, mixed, []model.GPUs{discovered, ofMixed}},
		"slices alone":                   {offer{whole: "0", cut: "7"}, mixed, []model.GPUs{ofMixed}},
		"slices of which no label tells": {offer{cut: "7"}, a100(), []model.GPUs{untold}},
		"slices of a type that is published": {offer{cut: "7"}, labels{corev1.LabelInstanceTypeStable: "Standard_NC24ads_A100_v4"}, []model.GPUs{{
			Count: 7, Resource: cut, Slice: "1g.10gb", Product: "NVIDIA A100", Kind: model.Label{Key: corev1.LabelInstanceTypeStable, Value: "Standard_NC24ads_A100_v4"},
			Memory: model.Nominal(10), Capability: model.Capability{Major: 8},
		}}},
		"a strategy that the GPUs do not follow": {offer{whole: "0"}, single.with(labels{"nvidia.com/gpu.product": "NVIDIA-A100-MIG-INVALID", "nvidia.com/gpu.memory": "0"}), []model.GPUs{{}}},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); check(t, node(tc.devices, tc.labels), nil, tc.want) })
	}
}

func TestAMD(t *testing.T) {
	t.Parallel()
	whole := model.GPUs{
		Count: 8, Resource: model.ResourceAMD, Product: "AMD Instinct MI300X OAM", Target: "gfx942", Memory: 192*model.GiB - model.GiB/2,
		Kind: model.Label{Key: "amd.com/gpu.product-name", Value: "AMD_Instinct_MI300X_OAM"},
	}
	old := whole
	old.Product, old.Kind = "AMD GPU 74a1", model.Label{Key: "beta.amd.com/gpu.device-id.74a1", Value: "8"}
	beta := whole
	beta.Kind.Key = "beta.amd.com/gpu.product-name"
	published := whole
	published.Product, published.Memory = "AMD Instinct MI300X", model.Nominal(192)
	published.Kind = model.Label{Key: corev1.LabelInstanceTypeStable, Value: "Standard_ND96isr_MI300X_v5"}
	cut := model.GPUs{Count: 8, Resource: model.ResourceAMD, Kind: whole.Kind, Product: "AMD Instinct MI300X OAM in the partitions cpx_nps4"}
	unlabelled := model.GPUs{Count: 8, Resource: model.ResourceAMD}
	radeon := model.GPUs{
		Count: 8, Resource: model.ResourceAMD, Product: "AMD Radeon PRO V620", Target: "gfx1030", Memory: 32*model.GiB - model.GiB/2,
		Kind: model.Label{Key: "amd.com/gpu.product-name", Value: "AMD_Radeon_PRO_V620"},
	}
	strange := whole
	strange.Product, strange.Kind.Value, strange.Target = "AMD Something", "AMD_Something", ""
	for name, tc := range map[string]struct {
		labels labels
		want   model.GPUs
	}{
		"what the labeller says":                {mi300x(), whole},
		"what an older one says":                {labels{"beta.amd.com/gpu.device-id.74a1": "8", "beta.amd.com/gpu.vram.192G": "8"}, old},
		"the beta labels of a newer one":        {labels{"beta.amd.com/gpu.device-id": "74A1", "beta.amd.com/gpu.vram": "192G", "beta.amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}, beta},
		"the instruction set by the product":    {mi300x().with(labels{"amd.com/gpu.device-id": "ffff"}), whole},
		"what is published":                     {labels{corev1.LabelInstanceTypeStable: "Standard_ND96isr_MI300X_v5"}, published},
		"what is published of NVIDIA's is not":  {labels{corev1.LabelInstanceTypeStable: "Standard_NC24ads_A100_v4"}, unlabelled},
		"GPUs that are cut are not planned for": {mi300x().with(labels{"amd.com/compute-memory-partition": "cpx_nps4"}), cut},
		"GPUs of two kinds are not told apart":  {labels{"amd.com/gpu.device-id.74a1": "4", "amd.com/gpu.device-id.74a5": "4", "amd.com/gpu.vram.192G": "4", "amd.com/gpu.vram.256G": "4"}, unlabelled},
		"a card of another kind":                {labels{"amd.com/gpu.product-name": "AMD_Radeon_PRO_V620", "amd.com/gpu.vram": "32G"}, radeon},
		"a card that nobody knows":              {labels{"amd.com/gpu.product-name": "AMD_Something", "amd.com/gpu.vram": "192G", "amd.com/gpu.device-id": "1"}, strange},
		"sizes that are none":                   {labels{"amd.com/gpu.vram": "-3G"}, unlabelled},
		"nothing but their number":              {nil, unlabelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, node(offer{model.ResourceAMD: "8"}, tc.labels), nil, []model.GPUs{tc.want})
		})
	}
}

func TestTaken(t *testing.T) {
	t.Parallel()
	part := func(g model.GPUs, count, taken int) model.GPUs {
		g.Count, g.Taken = count, taken
		return g
	}
	discovered := model.GPUs{
		Product: "NVIDIA A100 SXM4 80GB", Kind: model.Label{Key: "nvidia.com/gpu.product", Value: "NVIDIA-A100-SXM4-80GB"},
		Memory: 80 * model.GiB, Capability: model.Capability{Major: 8},
	}
	half := discovered
	half.Memory /= 2
	const whole = model.ResourceNVIDIA
	for name, tc := range map[string]struct {
		has, taken string
		labels     labels
		want       model.GPUs
	}{
		"some":                        {"8", "6", a100(), part(discovered, 8, 6)},
		"all":                         {"8", "8", a100(), part(discovered, 8, 8)},
		"more than there are now":     {"4", "6", a100(), part(discovered, 4, 4)},
		"a part of a shared card":     {"2", "1", a100().with(labels{"nvidia.com/gpu.replicas": "2"}), part(half, 1, 0)},
		"all parts of a shared card":  {"2", "2", a100().with(labels{"nvidia.com/gpu.replicas": "2"}), part(half, 1, 1)},
		"none, but of something else": {"8", "0", a100(), part(discovered, 8, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, node(offer{whole: tc.has}, tc.labels), offer{whole: tc.taken, model.ResourceAMD: "3"}, []model.GPUs{tc.want})
		})
	}
}

func check(t *testing.T, n *corev1.Node, taken offer, want []model.GPUs) {
	t.Helper()
	types, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	var shapes []model.NodeShape
	for _, g := range want {
		shapes = append(shapes, model.NodeShape{Name: "n1", CPU: 23800, Memory: 220 * model.GiB, Disk: 100 * model.GiB, GPUs: g})
	}
	if diff := cmp.Diff(shapes, nodeshape.Of(n, types, amounts(taken))); diff != "" {
		t.Errorf("shapes (-want +got):\n%s", diff)
	}
}

// What a label says comes from others: nothing in it may make a node larger than any is.
func FuzzLabels(f *testing.F) {
	f.Add("81920", "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "192G", "74a1", uint8(8))
	f.Add("-1", "-MIG-9g.9999gb", "4097G", "", uint8(0))
	f.Fuzz(func(t *testing.T, memory, product, vram, device string, count uint8) {
		n := node(offer{}, labels{
			"nvidia.com/gpu.memory": memory, "nvidia.com/gpu.product": product, "amd.com/gpu.vram": vram, "amd.com/gpu.device-id": device,
			"nvidia.com/gpu.replicas": memory,
		})
		for _, name := range []corev1.ResourceName{model.ResourceNVIDIA, model.ResourceAMD, "nvidia.com/mig-1g.10gb", corev1.ResourceName(model.ResourceSlice + product)} {
			n.Status.Allocatable[name] = *resource.NewQuantity(int64(count), resource.DecimalSI)
		}
		n.Status.Allocatable["nvidia.com/mig-2g.20gb"] = *resource.NewQuantity(math.MaxInt64, resource.DecimalSI)
		for _, s := range nodeshape.Of(n, nil, n.Status.Allocatable) {
			if s.GPUs.Slice == "2g.20gb" && s.GPUs.Count > 0 && s.GPUs.Resource == "nvidia.com/mig-2g.20gb" {
				if s.GPUs.Count > 1<<10 {
					t.Errorf("%d GPUs", s.GPUs.Count)
				}
				continue
			}
			if g := s.GPUs; g.Memory < 0 || g.Memory > 1<<50 || g.Count > int(count) || g.Taken > g.Count || g.Count > 0 && g.Free() != 0 {
				t.Errorf("%+v", g)
			}
		}
	})
}
