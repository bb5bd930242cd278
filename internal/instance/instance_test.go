package instance_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
)

func TestLookup(t *testing.T) {
	t.Parallel()
	table, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	got, ok := table.Lookup("standard_nc24ads_a100_V4")
	want := instance.Type{Cloud: "azure", Name: "Standard_NC24ads_A100_v4", GPUs: 1, GPU: "NVIDIA A100", MemoryGiB: 80, Capability: "8.0", CPUs: 24, RAMGiB: 220, Family: "StandardNCADSA100v4Family"}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("type (-want +got):\n%s", diff)
	}
	shape := got.Shape()
	if shape.Capability != (model.Capability{Major: 8}) || shape.Count != 1 || shape.Memory >= 80*model.GiB || shape.Memory < 72*model.GiB {
		t.Errorf("shape is %+v", shape)
	}
	if old, ok := table.Lookup("Standard_NC6s_v3"); !ok || !old.Retired || old.Capability != "7.0" {
		t.Errorf("got %+v, want a retired type with V100", old)
	}
	amd, ok := table.Lookup("Standard_ND96isr_MI300X_v5")
	if !ok || amd.Shape().Vendor() != model.AMD || amd.Resource() != "amd.com/gpu" || amd.Shape().Target != "gfx942" || amd.Shape().Capability.Known() {
		t.Errorf("got %+v, want eight MI300X", amd.Shape())
	}
	if old := (instance.Type{}); old.Resource() != "" {
		t.Errorf("a type without GPUs offers %q", old.Resource())
	}
	for _, name := range []string{"Standard_ND96asr_A100_v4", "standard_nd96asr_V4"} {
		if one, ok := table.Lookup(name); !ok || one.Name != "Standard_ND96asr_A100_v4" || one.SoldAs() != "Standard_ND96asr_v4" || one.GPUs != 8 {
			t.Errorf("%s is %+v, want the type that Azure sells as Standard_ND96asr_v4", name, one)
		}
	}
	if got.SoldAs() != got.Name {
		t.Errorf("%s is sold as %s", got.Name, got.SoldAs())
	}
	if plain, ok := table.Lookup("Standard_D4s_v5"); !ok || plain.CPUs != 4 || plain.RAMGiB != 16 || plain.Shape() != (model.GPUs{}) {
		t.Errorf("got %+v, want a type with 4 processors, 16 GiB and no GPU", plain)
	}
	if _, ok := table.Lookup("Standard_D3s_v5"); ok {
		t.Error("a type that does not exist is in the table")
	}
	var none *instance.Table
	if _, ok := none.Lookup("Standard_NC6s_v3"); ok {
		t.Error("no table holds a type")
	}
}

func TestSuccessors(t *testing.T) {
	t.Parallel()
	table, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		of   string
		want []string
	}{
		"one GPU, the nearest processors": {"standard_nc6s_v3", []string{"Standard_NC8as_T4_v3", "Standard_NV36ads_A10_v5"}},
		"two GPUs":                        {"Standard_NC12s_v3", []string{"Standard_NV72ads_A10_v5", "Standard_NC64as_T4_v3"}},
		"four GPUs":                       {"Standard_NC24rs_v3", []string{"Standard_NC64as_T4_v3", "Standard_NC24ads_A100_v4"}},
		"nothing is larger":               {"Standard_ND96isr_H200_v5", nil},
		"AMD's have none of NVIDIA's":     {"Standard_ND96isr_MI300X_v5", nil},
		"no GPU":                          {"Standard_D4s_v5", nil},
		"unknown":                         {"Standard_NC6s_v9", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, table.Successors(tc.of)); diff != "" {
				t.Errorf("successors (-want +got):\n%s", diff)
			}
		})
	}
	for _, name := range table.Names("azure") {
		if one, _ := table.Lookup(name); one.CPUs == 0 || one.RAMGiB == 0 || one.Family == "" {
			t.Errorf("of %s processors, memory or family are missing", name)
		} else if next := table.Successors(name); one.Retired && len(next) != 2 {
			t.Errorf("retired %s has the successors %v, want two", name, next)
		}
	}
	if names := table.Names("azure"); len(names) < 30 {
		t.Errorf("only %d types of Azure are known", len(names))
	}
}

func TestFurtherTypes(t *testing.T) {
	t.Parallel()
	table, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	more, err := instance.Parse(`[{"name": "Lab_L4", "gpus": 1, "gpu": "NVIDIA L4", "memoryGiB": 24, "capability": "8.9", "cpus": 8, "ramGiB": 32}]`)
	if err != nil {
		t.Fatal(err)
	}
	wider, err := table.With(more)
	if err != nil {
		t.Fatal(err)
	}
	if one, ok := wider.Lookup("lab_l4"); !ok || one.Shape().Count != 1 {
		t.Errorf("got %+v", one)
	}
	if _, ok := table.Lookup("lab_l4"); ok {
		t.Error("the table itself was changed")
	}
	if diff := cmp.Diff([]string{"Standard_NC6s_v3"}, table.Near("Standard_NC6_v3")[:1]); diff != "" {
		t.Errorf("near names (-want +got):\n%s", diff)
	}
	for name, text := range map[string]string{
		"a key that nobody knows":         `[{"name": "a", "cpu": 1}]`,
		"a type without a name":           `[{"cpus": 1, "ramGiB": 4}]`,
		"a type that is there already":    `[{"name": "standard_nc6s_v3", "cpus": 1, "ramGiB": 4}]`,
		"GPUs of which nothing is known":  `[{"name": "a", "gpus": 1}]`,
		"GPUs of two vendors":             `[{"name": "a", "gpus": 1, "gpu": "g", "memoryGiB": 24, "capability": "8.9", "target": "gfx942"}]`,
		"an instruction set without GPUs": `[{"name": "a", "cpus": 1, "ramGiB": 4, "target": "gfx942"}]`,
		"more memory than there is":       `[{"name": "a", "gpus": 1, "gpu": "g", "memoryGiB": 1e30, "capability": "8.9"}]`,
		"more GPUs than fit":              `[{"name": "a", "gpus": 4611686018427387904, "gpu": "g", "memoryGiB": 24, "capability": "8.9"}]`,
		"less than no processors":         `[{"name": "a", "cpus": -1, "ramGiB": 4}]`,
		"a type's other name":             `[{"name": "standard_nd96asr_v4", "cpus": 1, "ramGiB": 4}]`,
	} {
		all, err := instance.Parse(text)
		if err == nil {
			_, err = table.With(all)
		}
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
