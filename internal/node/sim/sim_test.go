package sim_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/nodetest"
	"kaito.sh/kaito/internal/node/sim"
)

const gpuType = "Standard_NC24ads_A100_v4"

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func options(t *testing.T) (sim.Options, *clocktesting.FakeClock) {
	t.Helper()
	table, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	clock := clocktesting.NewFakeClock(start())
	return sim.Options{
		Clock: clock, Instances: table, Tokens: true,
		Delays: sim.Delays{
			Create: 3 * time.Minute, Join: time.Minute, Ready: 10 * time.Second, GPU: 30 * time.Second, Remove: 2 * time.Minute, SpotLife: 20 * time.Minute,
		},
	}, clock
}

// suite is the cloud in the hands of the suite.
type suite struct {
	*sim.Cloud

	clock *clocktesting.FakeClock
}

func (s suite) Inject(f nodetest.Fault) {
	known := map[nodetest.Fault]sim.Fault{
		nodetest.QuotaZero: sim.QuotaZero, nodetest.QuotaFull: sim.QuotaFull, nodetest.NoCapacity: sim.NoCapacity, nodetest.NotSold: sim.NotSold,
		nodetest.Throttled: sim.Throttled, nodetest.Refused: sim.Refused, nodetest.NoCluster: sim.NoCluster, nodetest.Unreachable: sim.Unreachable,
		nodetest.AnswerLost: sim.AnswerLost, nodetest.Busy: sim.Busy, nodetest.CreationFails: sim.CreationFails,
		nodetest.CreationStuck: sim.CreationStuck, nodetest.DeletionSlow: sim.DeletionSlow,
	}
	if f == nodetest.Retired {
		return // what is retired is always refused
	}
	s.Cloud.Inject(known[f], 1)
}

func (s suite) Settle() { s.clock.Step(time.Hour) }

func TestTheContractOfProviders(t *testing.T) {
	t.Parallel()
	nodetest.Run(t, func(t *testing.T) nodetest.Harness {
		t.Helper()
		o, clock := options(t)
		cloud := sim.New(o)
		return nodetest.Harness{Cloud: suite{cloud, clock}, Start: func() node.Provider { return cloud.Provider() }}
	})
}

// world is a cloud whose machines become nodes of a cluster.
type world struct {
	*testing.T

	cloud   *sim.Cloud
	clock   *clocktesting.FakeClock
	cluster client.Client
	asked   node.Request
}

func join(t *testing.T, edits ...func(*sim.Options)) *world {
	t.Helper()
	o, clock := options(t)
	cluster := fake.NewClientBuilder().WithStatusSubresource(&corev1.Node{}).Build()
	o.Client = cluster
	for _, edit := range edits {
		edit(&o)
	}
	w := &world{T: t, cloud: sim.New(o), clock: clock, cluster: cluster}
	owner := node.Owner{Cluster: "here", ClaimUID: "1", ClaimName: "ws1"}
	w.asked = node.Request{
		Key: node.KeyOf("here", "1"), Owner: owner, Offer: node.Offer{InstanceType: gpuType, CapacityType: "spot", GPUs: 1, Capacity: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("24"), sim.ResourceGPU: resource.MustParse("1"),
		}},
		Shape: node.Shape{Labels: map[string]string{"mine": "yes"}, Taints: []corev1.Taint{{Key: "sku", Value: "gpu", Effect: corev1.TaintEffectNoSchedule}}},
	}
	return w
}

func (w *world) ensure() {
	w.Helper()
	if _, err := w.cloud.Provider().Ensure(w.Context(), w.asked); err != nil {
		w.Fatal(err)
	}
}

// after lets time pass and returns the node, or nil.
func (w *world) after(d time.Duration) *corev1.Node {
	w.Helper()
	w.clock.Step(d)
	if err := w.cloud.Step(w.Context()); err != nil {
		w.Fatal(err)
	}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "sim-" + string(w.asked.Key)}}
	err := w.cluster.Get(w.Context(), client.ObjectKeyFromObject(n), n)
	if client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return n
}

// seen is a node in short.
type seen struct {
	Ready corev1.ConditionStatus
	GPUs  int64
}

func look(n *corev1.Node) *seen {
	if n == nil {
		return nil
	}
	gpus := n.Status.Allocatable[sim.ResourceGPU]
	return &seen{n.Status.Conditions[0].Status, gpus.Value()}
}

func TestAMachineBecomesANode(t *testing.T) {
	t.Parallel()
	w := join(t)
	w.ensure()
	for _, step := range []struct {
		wait time.Duration
		want *seen
	}{
		{4*time.Minute - time.Second, nil},
		{time.Second, &seen{corev1.ConditionFalse, 0}},
		{10 * time.Second, &seen{corev1.ConditionTrue, 0}},
		{30 * time.Second, &seen{corev1.ConditionTrue, 1}},
	} {
		if diff := cmp.Diff(step.want, look(w.after(step.wait))); diff != "" {
			t.Errorf("the node after %s (-want +got):\n%s", step.wait, diff)
		}
	}
	n := w.after(0)
	o, err := w.cloud.Provider().Observe(t.Context(), w.asked.Key, "")
	if err != nil || o.ProviderID != n.Spec.ProviderID || n.Labels[sim.Label] != o.NodeLabels[sim.Label] || n.Labels["mine"] != "yes" || len(n.Spec.Taints) != 1 {
		t.Errorf("the machine %+v (%v) and its node %+v do not match", o, err, n.ObjectMeta)
	}
	if _, err := w.cloud.Provider().Remove(t.Context(), w.asked.Key, w.asked.Owner); err != nil {
		t.Fatal(err)
	}
	if n := w.after(3 * time.Minute); n != nil {
		t.Errorf("the node outlives its machine: %+v", n)
	}
}

func TestWhatGoesWrongWithNodes(t *testing.T) {
	t.Parallel()
	whole := &seen{corev1.ConditionTrue, 1}
	for name, c := range map[string]struct {
		fault sim.Fault
		after time.Duration
		want  *seen
	}{
		"a machine that never joins has no node":                      {sim.NeverJoins, time.Hour, nil},
		"a node whose GPUs never show is ready without them":          {sim.NeverGPU, time.Hour, &seen{corev1.ConditionTrue, 0}},
		"a spot machine is there before it is taken back":             {sim.SpotLoss, 20 * time.Minute, whole},
		"a spot machine that is taken back takes its node with it":    {sim.SpotLoss, 30 * time.Minute, nil},
		"a slow deletion of others does nothing to a machine that is": {sim.DeletionSlow, 30 * time.Minute, whole},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := join(t)
			w.cloud.Inject(c.fault, 1)
			w.ensure()
			w.after(10 * time.Minute)
			if diff := cmp.Diff(c.want, look(w.after(c.after-10*time.Minute))); diff != "" {
				t.Errorf("the node (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARebootedMachineIsReadyAgainLater(t *testing.T) {
	t.Parallel()
	w := join(t)
	w.cloud.Inject(sim.NeverGPU, 1)
	w.ensure()
	w.after(10 * time.Minute)
	w.cloud.Clear()
	if err := w.cloud.Provider().Reboot(t.Context(), w.asked.Key, w.asked.Owner); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&seen{corev1.ConditionFalse, 0}, look(w.after(0))); diff != "" {
		t.Errorf("at the reboot (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&seen{corev1.ConditionTrue, 1}, look(w.after(time.Minute))); diff != "" {
		t.Errorf("after the reboot (-want +got):\n%s", diff)
	}
}

func TestARestartedSimulatorKnowsItsMachinesByTheirNodes(t *testing.T) {
	t.Parallel()
	w := join(t)
	w.ensure()
	w.after(10 * time.Minute)
	o, _ := options(t)
	o.Client = w.cluster
	again := sim.New(o)
	if err := again.Restore(t.Context(), w.cluster); err != nil {
		t.Fatal(err)
	}
	got, err := again.Provider().Observe(t.Context(), w.asked.Key, "")
	if err != nil || got.State != node.Ready || got.Owner != w.asked.Owner || got.Offer.InstanceType != gpuType {
		t.Errorf("the machine is %+v, %v", got, err)
	}
}

func TestTheSameSeedBringsTheSameFaults(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) []bool {
		o, _ := options(t)
		o.Seed = seed
		cloud := sim.New(o)
		cloud.Inject(sim.NoCapacity, 0.5)
		var refused []bool
		for i := range 20 {
			owner := node.Owner{Cluster: "here", ClaimUID: string(rune('a' + i))}
			_, err := cloud.Provider().Ensure(t.Context(), node.Request{Key: node.KeyOf("here", owner.ClaimUID), Owner: owner, Offer: node.Offer{InstanceType: gpuType, CapacityType: "spot"}})
			refused = append(refused, err != nil)
		}
		return refused
	}
	if diff := cmp.Diff(run(1), run(1)); diff != "" {
		t.Errorf("two runs with one seed differ:\n%s", diff)
	}
	if cmp.Equal(run(1), run(2)) {
		t.Error("another seed brings the same")
	}
}
