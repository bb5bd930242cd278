package nodeclaim_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	lifecycle "kaito.sh/kaito/internal/controller/nodeclaim"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/karpenter"
	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/node/sim"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

const gpuType = "Standard_NC24ads_A100_v4"

// cloud is a simulated cloud whose machines become nodes of the API server, quickly.
func cloud(t *testing.T) *sim.Cloud {
	t.Helper()
	table, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	return sim.New(sim.Options{
		Clock: clock.RealClock{}, Instances: table, Client: api.Client(t), LeaseEvery: time.Second, Tokens: true,
		Delays: sim.Delays{
			Create: 300 * time.Millisecond, Join: 300 * time.Millisecond, Ready: 300 * time.Millisecond, GPU: 300 * time.Millisecond, Remove: 300 * time.Millisecond,
		},
	})
}

// provision runs the lifecycle with Karpenter's drain until the test ends or stop is called.
func provision(t *testing.T, c *sim.Cloud, id string) (stop func()) {
	t.Helper()
	scheme, err := testkit.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(api.Config(t), ctrl.Options{
		Scheme: scheme, Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
		Cache:      cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: karpenter.Uncached(), EnableReadYourWritesConsistency: new(true)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	provider := c.Provider()
	life := lifecycle.New(lifecycle.Options{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Provider: provider, ProviderName: "sim", Clock: clock.RealClock{}, Cluster: id,
		Deadlines: lifecycle.DefaultDeadlines(), Recorder: mgr.GetEventRecorder("provisioner"), Meter: lifecycle.NewInstruments("sim"),
	})
	if err := life.SetupWithManager(ctx, mgr); err != nil {
		t.Fatal(err)
	}
	inputs := karpenter.Inputs{Provider: provider, Cluster: id, Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("karpenter"), Clock: clock.RealClock{}}
	if err := karpenter.Setup(ctx, mgr, karpenter.Controllers(inputs)); err != nil {
		t.Fatal(err)
	}
	if err := mgr.Add(c); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the provisioner ended with: %v", err)
		}
	})
	t.Cleanup(stop)
	go nodeController(ctx, api.Client(t))
	return stop
}

// nodeController does what a control plane's controller manager would: the API server gives a
// new node a taint, which is taken off once the node is ready.
func nodeController(ctx context.Context, c client.Client) {
	for ctx.Err() == nil {
		var nodes corev1.NodeList
		_ = c.List(ctx, &nodes) // asked again
		for i := range nodes.Items {
			n := &nodes.Items[i]
			before := n.DeepCopy()
			n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == corev1.TaintNodeNotReady })
			if ready(n) && len(n.Spec.Taints) < len(before.Spec.Taints) {
				_ = c.Patch(ctx, n, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func ready(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

func claimOf(name string, edits ...func(*nodeclaim.NodeClaim)) *nodeclaim.NodeClaim {
	c := &nodeclaim.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			nodeclaim.LabelNodePool: nodeclaim.PoolName, nodeclaim.LabelWorkspace: "phi", nodeclaim.LabelNamespace: "default",
		}},
		Spec: nodeclaim.Spec{
			NodeClassRef: &nodeclaim.ClassRef{Group: nodeclaim.ClassGroup, Kind: nodeclaim.ClassKind, Name: nodeclaim.ClassName},
			Requirements: []nodeclaim.Requirement{{Key: corev1.LabelInstanceTypeStable, Operator: corev1.NodeSelectorOpIn, Values: []string{gpuType}}},
			Resources: nodeclaim.Requirements{Requests: corev1.ResourceList{
				"nvidia.com/gpu": resource.MustParse("1"), corev1.ResourceStorage: resource.MustParse("120Gi"),
			}},
			Taints: []corev1.Taint{{Key: nodeclaim.TaintKey, Value: nodeclaim.TaintValue, Effect: corev1.TaintEffectNoSchedule}},
		},
	}
	for _, edit := range edits {
		edit(c)
	}
	return c
}

// eventually asks again until ok says yes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within a minute: %s", what)
}

// becomes waits for a reason of a claim's condition.
func becomes(t *testing.T, name, kind, reason string) *nodeclaim.NodeClaim {
	t.Helper()
	c := &nodeclaim.NodeClaim{}
	eventually(t, fmt.Sprintf("%s of NodeClaim %s is %s", kind, name, reason), func() bool {
		err := api.Client(t).Get(t.Context(), client.ObjectKey{Name: name}, c)
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		return nodeclaim.Condition(c, kind).Reason == reason
	})
	return c
}

// goes deletes a claim and waits until it and its node are gone.
func goes(t *testing.T, name string, c *sim.Cloud) {
	t.Helper()
	claim := &nodeclaim.NodeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := client.IgnoreNotFound(api.Client(t).Delete(t.Context(), claim)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the claim and its machine and node are gone", func() bool {
		var nodes corev1.NodeList
		if err := api.Client(t).List(t.Context(), &nodes, client.MatchingLabels{nodeclaim.LabelWorkspace: "phi"}); err != nil {
			t.Fatal(err)
		}
		err := api.Client(t).Get(t.Context(), client.ObjectKeyFromObject(claim), claim)
		return apierrors.IsNotFound(err) && len(nodes.Items) == 0 && len(c.Machines()) == 0
	})
}

// These run one after the other: each has a provisioner of its own, which would serve the others' claims.

func TestALifeOnARealAPIServer(t *testing.T) {
	c := cloud(t)
	provision(t, c, "one")
	if err := api.Client(t).Create(t.Context(), claimOf("wsone")); err != nil {
		t.Fatal(err)
	}
	got := becomes(t, "wsone", nodeclaim.ConditionReady, "Ready")
	n := &corev1.Node{}
	if err := api.Client(t).Get(t.Context(), client.ObjectKey{Name: got.Status.NodeName}, n); err != nil {
		t.Fatal(err)
	}
	if n.Spec.ProviderID != got.Status.ProviderID || n.OwnerReferences[0].UID != got.UID || n.Labels["karpenter.sh/initialized"] != "true" {
		t.Errorf("the node is %+v, the claim's status %+v", n.ObjectMeta, got.Status)
	}
	goes(t, "wsone", c)
	if made := c.Creations(); made != 1 {
		t.Errorf("%d machines were made", made)
	}
}

func TestARestartInTheMiddleOnARealAPIServer(t *testing.T) {
	c := cloud(t)
	stop := provision(t, c, "two")
	if err := api.Client(t).Create(t.Context(), claimOf("wstwo")); err != nil {
		t.Fatal(err)
	}
	becomes(t, "wstwo", nodeclaim.ConditionLaunched, nodeclaim.ReasonCreating)
	stop()
	provision(t, c, "two")
	becomes(t, "wstwo", nodeclaim.ConditionReady, "Ready")
	goes(t, "wstwo", c)
	if made := c.Creations(); made != 1 {
		t.Errorf("%d machines were made", made)
	}
}

func TestAClaimThatIsDeletedBeforeItHasAnIDOnARealAPIServer(t *testing.T) {
	c := cloud(t)
	c.Inject(sim.CreationStuck, 1)
	provision(t, c, "three")
	if err := api.Client(t).Create(t.Context(), claimOf("wsthree")); err != nil {
		t.Fatal(err)
	}
	got := becomes(t, "wsthree", nodeclaim.ConditionLaunched, nodeclaim.ReasonCreating)
	if got.Status.ProviderID != "" {
		t.Fatalf("it has the id %s", got.Status.ProviderID)
	}
	goes(t, "wsthree", c)
}

func TestWhatIsNotOursOnARealAPIServer(t *testing.T) {
	c := cloud(t)
	provision(t, c, "four")
	other := claimOf("wsfour", func(c *nodeclaim.NodeClaim) {
		c.Labels = nil
		c.Spec.NodeClassRef = &nodeclaim.ClassRef{Group: "karpenter.k8s.aws", Kind: "EC2NodeClass", Name: "default"}
	})
	for _, claim := range []*nodeclaim.NodeClaim{other, claimOf("wsfive")} {
		if err := api.Client(t).Create(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
	}
	becomes(t, "wsfive", nodeclaim.ConditionReady, "Ready")
	if err := api.Client(t).Get(t.Context(), client.ObjectKeyFromObject(other), other); err != nil {
		t.Fatal(err)
	}
	if len(other.Finalizers) > 0 || len(other.Status.Conditions) > 0 || len(other.Annotations) > 0 {
		t.Errorf("a claim of somebody else was touched: %+v", other)
	}
	goes(t, "wsfive", c)
	goes(t, "wsfour", c)
}

func TestARefusalOnARealAPIServer(t *testing.T) {
	c := cloud(t)
	c.Inject(sim.QuotaZero, 1)
	provision(t, c, "five")
	if err := api.Client(t).Create(t.Context(), claimOf("wssix")); err != nil {
		t.Fatal(err)
	}
	becomes(t, "wssix", nodeclaim.ConditionReady, nodeclaim.ReasonQuotaExceeded)
	if key := node.KeyOf("five", "x"); c.Present(key) || c.Creations() != 0 {
		t.Error("a machine was made")
	}
	goes(t, "wssix", c)
}
