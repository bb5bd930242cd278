package sizing_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/engine/vllm"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/sizing"
)

func slicesOf(profile string) *v1beta1.PartitionSpec {
	return &v1beta1.PartitionSpec{Mode: v1beta1.PartitionMIG, Profile: profile}
}

func some(n int32) *v1beta1.PartitionSpec {
	return &v1beta1.PartitionSpec{Mode: v1beta1.PartitionAccelerator, Count: n}
}

// What a type offers of a partition, before there is a node of it.
func TestThePartOfAType(t *testing.T) {
	t.Parallel()
	types, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		of    string
		part  *v1beta1.PartitionSpec
		count int
		slice string
		want  string
	}{
		"all of it":                            {"Standard_ND96amsr_A100_v4", nil, 8, "", ""},
		"slices of eight GPUs":                 {"Standard_ND96amsr_A100_v4", slicesOf("3g.40gb"), 16, "3g.40gb", ""},
		"the smallest slices":                  {"Standard_NC24ads_A100_v4", slicesOf("1g.10gb"), 7, "1g.10gb", ""},
		"slices of a GPU with less memory":     {"p4d.24xlarge", slicesOf("1g.5gb"), 56, "1g.5gb", ""},
		"some GPUs":                            {"Standard_ND96amsr_A100_v4", some(4), 8, "", ""},
		"AMD's GPUs":                           {"Standard_ND96isr_MI300X_v5", some(4), 8, "", ""},
		"a profile that the GPU does not have": {"p4d.24xlarge", slicesOf("1g.23gb"), 0, "", `the GPUs of node "p4d.24xlarge", NVIDIA A100, cannot be cut into slices 1g.23gb: they can into 1g.10gb, 1g.5gb, 2g.10gb, 3g.20gb, 4g.20gb, 7g.40gb`},
		"a GPU that cannot be cut":             {"g5.xlarge", slicesOf("1g.5gb"), 0, "", `the GPUs of node "g5.xlarge", NVIDIA A10G, cannot be cut into slices, and resource.partition asks for 1g.5gb`},
		"AMD's GPUs are not cut":               {"Standard_ND96isr_MI300X_v5", slicesOf("1g.10gb"), 0, "", `cannot be cut into slices`},
		"a type without GPUs":                  {"Standard_D4s_v5", slicesOf("1g.10gb"), 0, "", `there are no GPUs on node "Standard_D4s_v5", and resource.partition asks for slices 1g.10gb`},
		"more GPUs than it has":                {"Standard_NC24ads_A100_v4", some(2), 0, "", `no node offers 2 whole GPUs, which resource.partition asks for: node "Standard_NC24ads_A100_v4" has 1 x NVIDIA A100`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of, ok := types.Lookup(tc.of)
			if !ok {
				t.Fatalf("no type %q", tc.of)
			}
			shape, err := sizing.TypePart(of, tc.part)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %s", err, tc.want)
				}
				return
			}
			if err != nil || shape.GPUs.Count != tc.count || shape.GPUs.Slice != tc.slice || shape.GPUs.Memory == 0 {
				t.Errorf("got %+v, %v", shape.GPUs, err)
			}
		})
	}
}

func TestANumberOfGPUsIsAWish(t *testing.T) {
	t.Parallel()
	wishes := model.Wishes{vllm.Name: {Context: 4096}}
	want := model.Wishes{vllm.Name: {Context: 4096, GPUs: 2}}
	if diff := cmp.Diff(want, sizing.WithPartition(some(2), wishes)); diff != "" {
		t.Errorf("wishes (-want +got):\n%s", diff)
	}
	if wishes[vllm.Name].GPUs != 0 {
		t.Error("what was handed in was changed")
	}
	said := model.Wishes{vllm.Name: {GPUs: 4}}
	for name, got := range map[string]model.Wishes{
		"settings win":         sizing.WithPartition(some(2), said),
		"no partition":         sizing.WithPartition(nil, said),
		"slices are no number": sizing.WithPartition(slicesOf("1g.10gb"), said),
	} {
		if diff := cmp.Diff(said, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := sizing.WithPartition(some(2), nil); got[vllm.Name].GPUs != 2 {
		t.Errorf("got %v", got)
	}
}

// Profiles that the table promises are those that the planner can read.
func TestEveryProfileHasItsMemory(t *testing.T) {
	t.Parallel()
	types, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	cut := 0
	for _, of := range types.All() {
		for _, profile := range of.Profiles() {
			cut++
			g, ok := of.Slices(profile)
			whole := of.Shape()
			if all := g.Memory * model.Bytes(g.Count); !ok || g.Memory <= 0 || all > whole.Memory*model.Bytes(whole.Count)*103/100 || g.Capability != whole.Capability {
				t.Errorf("%s of %s: %+v of %v", profile, of.Name, g, whole.Memory)
			}
		}
	}
	if cut < 30 {
		t.Errorf("only %d profiles of types", cut)
	}
}
