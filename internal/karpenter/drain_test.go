package karpenter

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	karpenterv1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/controllers/nodeclaim/garbagecollection"

	"kaito.sh/kaito/internal/node"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

// machines are there until they are removed, which takes two calls.
type machines struct {
	node.Provider
	mu    sync.Mutex
	there map[string]int
	// before is called ahead of each removal.
	before func()
	calls  int
}

func (m *machines) Remove(_ context.Context, _ node.Key, owner node.Owner) (node.Observed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before()
	m.calls++
	if m.there[owner.ClaimUID]--; m.there[owner.ClaimUID] <= 0 {
		return node.Observed{State: node.Absent}, nil
	}
	return node.Observed{State: node.Deleting}, nil
}

func (*machines) Observe(context.Context, node.Key, string) (node.Observed, error) {
	return node.Observed{State: node.Ready}, nil
}

func (*machines) List(context.Context, string) (node.Listing, error) { return node.Listing{}, nil }

func (m *machines) removals() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// manage runs Karpenter's controllers with a provider until the test ends. Tests that do so do
// not run in parallel: each would serve the other's nodes.
func manage(t *testing.T, provider node.Provider) ctrl.Manager {
	t.Helper()
	scheme, err := testkit.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(api.Config(t), ctrl.Options{
		Scheme: scheme, Logger: logr.Discard(),
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: Uncached()}},
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := mgr.GetFieldIndexer().IndexField(t.Context(), &corev1.Node{}, "spec.providerID", func(o client.Object) []string {
		return []string{o.(*corev1.Node).Spec.ProviderID}
	}); err != nil {
		t.Fatal(err)
	}
	controllers := Controllers(Inputs{
		Provider: provider, Cluster: "c", Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("test"), Clock: clock.RealClock{},
	})
	if err := Setup(t.Context(), mgr, controllers); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the manager ended with: %v", err)
		}
	})
	return mgr
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 90 s: %s", what)
}

// claim makes a claim that has registered the node of the same name.
func claim(t *testing.T, name string, edit func(*nodeclaim.NodeClaim)) *nodeclaim.NodeClaim {
	t.Helper()
	c := api.Client(t)
	made := &nodeclaim.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{"test.kaito.sh/stays"}},
		Spec: nodeclaim.Spec{
			NodeClassRef: &nodeclaim.ClassRef{Group: nodeclaim.ClassGroup, Kind: nodeclaim.ClassKind, Name: nodeclaim.ClassName},
			Requirements: []nodeclaim.Requirement{},
		},
	}
	edit(made)
	if err := c.Create(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	made.Status.ProviderID, made.Status.NodeName = "test:///"+name, name
	made.StatusConditions().SetTrue(nodeclaim.ConditionRegistered)
	if err := c.Status().Update(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	return made
}

// joined makes the node of a claim.
func joined(t *testing.T, claim *nodeclaim.NodeClaim, ready corev1.ConditionStatus) *corev1.Node {
	t.Helper()
	made := testkit.Node(claim.Name, func(n *corev1.Node) {
		n.Labels[nodeclaim.LabelClass] = nodeclaim.ClassName
		n.Finalizers = []string{nodeclaim.Finalizer}
		n.Spec.ProviderID = claim.Status.ProviderID
		n.Status.Conditions[0].Status = ready
	})
	api.Join(t, made)
	return made
}

func gone(t *testing.T, o client.Object) bool {
	t.Helper()
	err := api.Client(t).Get(t.Context(), client.ObjectKeyFromObject(o), o)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return apierrors.IsNotFound(err)
}

// TestAMachineGoesOnlyAfterItsPods deletes a node whose pod a budget protects. Nothing but
// the API server runs, so the test plays the budget's controller.
func TestAMachineGoesOnlyAfterItsPods(t *testing.T) {
	c, namespace := api.Client(t), api.Namespace(t)
	made := claim(t, "drained", func(*nodeclaim.NodeClaim) {})
	n := joined(t, made, corev1.ConditionTrue)
	pod := resident(namespace, n.Name)
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "one", Namespace: namespace},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: pod.Labels},
		},
	}
	for _, o := range []client.Object{pod, budget} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	// A pod that does not run is evicted whatever its budget says.
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := c.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	allow(t, budget, 0)

	provider := &machines{there: map[string]int{string(made.UID): 2}}
	provider.before = func() {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(pod), &corev1.Pod{}); !apierrors.IsNotFound(err) {
			t.Errorf("a machine was removed under a pod: %v", err)
		}
	}
	manage(t, provider)
	if err := c.Delete(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the eviction is refused", func() bool { return evictions(t, "429") > 0 })
	eventually(t, "an event says what is waited for", func() bool { return said(t, n.Name, "1 pods are waiting to be evicted") })
	if provider.removals() > 0 {
		t.Error("the machine was removed before its pod")
	}
	if gone(t, made) || made.DeletionTimestamp == nil {
		t.Error("the claim of a node that is deleted was not deleted, or went before the node")
	}
	if gone(t, n) || !slices.ContainsFunc(n.Spec.Taints, func(taint corev1.Taint) bool { return taint.Key == karpenterv1.DisruptedTaintKey }) {
		t.Errorf("the node takes new pods while it is drained: %v", n.Spec.Taints)
	}

	allow(t, budget, 1)
	eventually(t, "the node is gone", func() bool { return gone(t, n) })
	if got := provider.removals(); got != 2 {
		t.Errorf("the removal was asked for %d times, want 2: until the machine was absent", got)
	}
	if gone(t, made) {
		t.Error("Karpenter finalised the claim: that is our own controller's part")
	}
}

// resident is a pod of a node that nobody starts.
func resident(namespace, on string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "model", Namespace: namespace, Labels: map[string]string{"app": "model"}},
		Spec: corev1.PodSpec{
			NodeName: on, TerminationGracePeriodSeconds: new(int64(0)),
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "model", Image: "example.com/model",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// allow is what the budget's controller would write.
func allow(t *testing.T, budget *policyv1.PodDisruptionBudget, pods int32) {
	t.Helper()
	if gone(t, budget) {
		t.Fatal("the budget is gone")
	}
	budget.Status = policyv1.PodDisruptionBudgetStatus{
		ObservedGeneration: budget.Generation, DisruptionsAllowed: pods, CurrentHealthy: 1 + pods, DesiredHealthy: 1, ExpectedPods: 1 + pods,
	}
	if err := api.Client(t).Status().Update(t.Context(), budget); err != nil {
		t.Fatal(err)
	}
}

// evictions counts answers of a code in Karpenter's own metrics.
func evictions(t *testing.T, code string) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "karpenter_pods_eviction_requests_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == code {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// said looks for an event about an object.
func said(t *testing.T, about, text string) bool {
	t.Helper()
	var list corev1.EventList
	if err := api.Client(t).List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list.Items, func(e corev1.Event) bool {
		return e.InvolvedObject.Name == about && strings.Contains(e.Message, text)
	})
}

func TestAClaimEndsAtItsAgeAndNeverWithoutOne(t *testing.T) {
	age := func(text string) func(*nodeclaim.NodeClaim) {
		return func(c *nodeclaim.NodeClaim) { c.Spec.ExpireAfter = karpenterv1.MustParseNillableDuration(text) }
	}
	short, never := claim(t, "short-lived", age("1s")), claim(t, "ageless", age("Never"))
	stranger := claim(t, "of-another-provisioner", func(c *nodeclaim.NodeClaim) {
		age("1s")(c)
		c.Spec.NodeClassRef = &nodeclaim.ClassRef{Group: "example.com", Kind: "OtherClass", Name: "x"}
	})
	manage(t, &machines{})
	eventually(t, "the claim is deleted", func() bool { return !gone(t, short) && short.DeletionTimestamp != nil })
	for _, other := range []*nodeclaim.NodeClaim{never, stranger} {
		if gone(t, other) || other.DeletionTimestamp != nil {
			t.Errorf("claim %q was deleted", other.Name)
		}
	}
}

// TestWhyItsCollectionOfGarbageDoesNotRun fails when a newer Karpenter became careful.
func TestWhyItsCollectionOfGarbageDoesNotRun(t *testing.T) {
	claims := []*nodeclaim.NodeClaim{}
	for _, name := range []string{"cut-off-1", "cut-off-2", "cut-off-3"} {
		made := claim(t, name, func(*nodeclaim.NodeClaim) {})
		joined(t, made, corev1.ConditionUnknown)
		claims = append(claims, made)
	}
	provider := &machines{}
	mgr := manage(t, provider)
	eventually(t, "the cache knows the nodes", func() bool {
		return mgr.GetClient().Get(t.Context(), client.ObjectKeyFromObject(claims[2]), &corev1.Node{}) == nil
	})
	collector := garbagecollection.NewController(clock.RealClock{}, mgr.GetClient(), &cloud{provider: provider, cluster: "c", claims: mgr.GetClient()})
	if _, err := collector.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range claims {
		if gone(t, c) || c.DeletionTimestamp == nil {
			t.Errorf("claim %q survived one empty answer of the cloud: look again whether the collector may run", c.Name)
		}
	}
}
