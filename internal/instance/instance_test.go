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
	want := instance.Type{Cloud: "azure", Name: "Standard_NC24ads_A100_v4", GPUs: 1, GPU: "NVIDIA A100", MemoryGiB: 80, Capability: "8.0"}
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
	if _, ok := table.Lookup("Standard_D2s_v5"); ok {
		t.Error("a type without GPUs is in the table")
	}
	var none *instance.Table
	if _, ok := none.Lookup("Standard_NC6s_v3"); ok {
		t.Error("no table holds a type")
	}
}
