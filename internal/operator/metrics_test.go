package operator

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
)

// cached is a cache that holds these Workspaces.
type cached struct {
	client.Reader
	items []v1beta1.Workspace
	err   error
}

func (c cached) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	into.(*v1beta1.WorkspaceList).Items = c.items
	return c.err
}

func in(state v1beta1.WorkspaceState) v1beta1.Workspace {
	return v1beta1.Workspace{Status: v1beta1.WorkspaceStatus{State: state}}
}

// elected are instruments of a leader.
func elected(c cached) *instruments {
	i, turn := newInstruments(), make(chan struct{})
	close(turn)
	i.workspaces, i.elected = c, turn
	return i
}

func gather(t *testing.T, i *instruments) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := i.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	all := map[string]*dto.MetricFamily{}
	for _, f := range families {
		all[f.GetName()] = f
	}
	return all
}

func TestWorkspacesAreCountedByState(t *testing.T) {
	t.Parallel()
	i := elected(cached{items: []v1beta1.Workspace{in("Ready"), in("Ready"), in("Failed"), in("")}})
	got := map[string]float64{}
	for _, m := range gather(t, i)["kaito_workspaces"].GetMetric() {
		got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
	}
	want := map[string]float64{"Ready": 2, "Failed": 1, "Pending": 1, "NotReady": 0, "Running": 0, "Succeeded": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestAReplicaThatWaitsCountsNothing(t *testing.T) {
	t.Parallel()
	i := newInstruments()
	i.workspaces, i.elected = cached{items: []v1beta1.Workspace{in("Ready")}}, make(chan struct{})
	if _, ok := gather(t, i)["kaito_workspaces"]; ok {
		t.Error("two replicas would count each Workspace twice")
	}
}

func TestACacheThatDoesNotAnswerIsSaid(t *testing.T) {
	t.Parallel()
	if _, err := elected(cached{err: errors.New("not filled")}).registry.Gather(); err == nil {
		t.Error("a count that is not known was given as a number")
	}
}

func TestStartsAreMeasuredByPhase(t *testing.T) {
	t.Parallel()
	i := elected(cached{})
	i.Started(v1beta1.StartupStatus{NodeSeconds: new(int32(3)), LoadSeconds: new(int32(40))})
	got := map[string]float64{}
	for _, m := range gather(t, i)["kaito_workspace_startup_seconds"].GetMetric() {
		got[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleSum()
	}
	if diff := cmp.Diff(map[string]float64{"node": 3, "load": 40}, got); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}
