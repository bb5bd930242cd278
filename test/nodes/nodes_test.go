package nodes

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/config"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/operator"
	"kaito.sh/kaito/internal/provisioner"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

const namespace = "kaito-system"

type manager interface {
	Start(ctx context.Context) error
}

// run runs a manager until the test ends or stop is called.
func run(t *testing.T, start func(context.Context) (manager, error)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	mgr, err := start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a manager ended with: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func runOperator(t *testing.T) (stop func()) {
	t.Helper()
	cluster := api.WithRightsOf(t, "../../charts/kaito", namespace, "kaito-operator")
	return run(t, func(ctx context.Context) (manager, error) {
		return operator.New(ctx, cluster, config.Operator{
			RunnerImage: "registry.local:5000/kaito/runner:dev", LlamacppImage: "registry.local:5000/kaito/llamacpp:dev", VLLMImage: "vllm/vllm-openai:v0.33.0",
			Models: "registry.local:5000/kaito/models", MetricsAddress: "0", HealthAddress: "0", NodeProvisioning: true,
			LeaderElect: true, Namespace: namespace,
		}, logr.Discard())
	})
}

func runProvisioner(t *testing.T) (stop func()) {
	t.Helper()
	const quick = 300 * time.Millisecond
	cluster := api.WithRightsOf(t, "../../charts/gpu-provisioner", namespace, "kaito-gpu-provisioner", "provider=sim")
	return run(t, func(ctx context.Context) (manager, error) {
		return provisioner.New(ctx, cluster, config.Provisioner{
			Provider: config.ProviderSim, Sim: config.Sim{Create: quick, Join: quick, GPU: quick, Remove: quick, Lease: quick, Seed: 1},
			Launch: time.Minute, Registration: time.Minute, Initialization: time.Minute, Drain: time.Minute, Replacements: 1,
			Sweep: time.Minute, Repair: true, RepairAfter: time.Minute, RepairPercent: 20, RepairHourly: 3,
			MetricsAddress: "0", HealthAddress: "0", LeaderElect: true, Namespace: namespace,
		}, logr.Discard())
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if api.TendNodes(t); ok() {
			return
		}
	}
	var all nodeclaim.NodeClaimList
	if err := api.Client(t).List(t.Context(), &all); err != nil {
		t.Error(err)
	}
	for i := range all.Items {
		t.Logf("NodeClaim %s of %s, deleted %v: %+v", all.Items[i].Name, all.Items[i].Labels[nodeclaim.LabelWorkspace], all.Items[i].DeletionTimestamp, all.Items[i].Status.Conditions)
	}
	t.Fatalf("not within two minutes: %s", what)
}

func message(t *testing.T, ws *v1beta1.Workspace, kind, reason string) string {
	t.Helper()
	var found *metav1.Condition
	eventually(t, kind+" has the reason "+reason, func() bool {
		if err := api.Client(t).Get(t.Context(), client.ObjectKeyFromObject(ws), ws); err != nil {
			t.Fatal(err)
		}
		found = meta.FindStatusCondition(ws.Status.Conditions, kind)
		return found != nil && found.Reason == reason
	})
	return found.Message
}

func claims(t *testing.T, ws *v1beta1.Workspace) []nodeclaim.NodeClaim {
	t.Helper()
	var list nodeclaim.NodeClaimList
	if err := api.Client(t).List(t.Context(), &list, client.MatchingLabels{nodeclaim.LabelWorkspace: ws.Name, nodeclaim.LabelNamespace: ws.Namespace}); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func nodesOf(t *testing.T, ws *v1beta1.Workspace) []corev1.Node {
	t.Helper()
	var list corev1.NodeList
	if err := api.Client(t).List(t.Context(), &list, client.MatchingLabels{nodeclaim.LabelWorkspace: ws.Name, nodeclaim.LabelNamespace: ws.Namespace}); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// From a manifest to nodes and back to none, also across restarts of both.
func TestAWorkspaceGetsItsNodesAndGivesThemBack(t *testing.T) {
	c := api.Client(t)
	stopOperator, stopProvisioner := runOperator(t), runProvisioner(t)
	home := api.Namespace(t)
	served := testkit.Workspace(home, "served", testkit.OnNodes("apps", home), testkit.InstanceType("standard_d4S_v5"))
	twice := testkit.Workspace(home, "twice", testkit.OnNodes("apps", home), func(ws *v1beta1.Workspace) {
		ws.Resource.InstanceType, ws.Resource.Count = "Standard_NC4as_T4_v3", new(int32(2))
		ws.Inference = &v1beta1.InferenceSpec{Template: &runtime.RawExtension{Raw: []byte(`{"spec":{"containers":[{"name":"server","image":"registry.example/server:1"}]}}`)}}
	})
	retired := testkit.Workspace(home, "retired", testkit.OnNodes("apps", home), testkit.InstanceType("Standard_NC6s_v3"))
	for _, ws := range []*v1beta1.Workspace{served, twice, retired} {
		if err := c.Create(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
	}
	message(t, served, v1beta1.ConditionResourceReady, v1beta1.ReasonResourceReady)
	message(t, twice, v1beta1.ConditionResourceReady, v1beta1.ReasonResourceReady)
	if m := message(t, retired, v1beta1.ConditionResourceReady, v1beta1.ReasonSKUUnavailable); !strings.Contains(m, "no longer sold") || !strings.Contains(m, "create the Workspace anew with Standard_") {
		t.Errorf("ResourceReady of a retired type says %q", m)
	}
	for ws, want := range map[*v1beta1.Workspace]int{served: 1, twice: 2, retired: 0} {
		if got := nodesOf(t, ws); len(got) != want {
			t.Errorf("Workspace %q has %d nodes, want %d", ws.Name, len(got), want)
		}
		var set appsv1.StatefulSet
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), &set); (err == nil) != (want > 0) {
			t.Errorf("the StatefulSet of Workspace %q: %v", ws.Name, err)
		}
	}

	// A node that is lost is made again, while nobody is there to see it go.
	stopOperator()
	old := claims(t, served)[0]
	if err := c.Delete(t.Context(), &old); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the claim is gone", func() bool { return len(claims(t, served)) == 0 && len(nodesOf(t, served)) == 0 })
	runOperator(t)
	eventually(t, "another node is made", func() bool {
		all := claims(t, served)
		return len(all) == 1 && all[0].UID != old.UID && nodeclaim.IsTrue(&all[0], nodeclaim.ConditionReady)
	})
	message(t, served, v1beta1.ConditionResourceReady, v1beta1.ReasonResourceReady)

	// The provisioner is away for a while during the deletion.
	stopProvisioner()
	for _, ws := range []*v1beta1.Workspace{served, twice, retired} {
		if err := c.Delete(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
	}
	message(t, twice, v1beta1.ConditionNodeClaimReady, v1beta1.ReasonDeleting)
	runProvisioner(t)
	for _, ws := range []*v1beta1.Workspace{served, twice, retired} {
		eventually(t, "Workspace "+ws.Name+" is gone", func() bool {
			return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(ws), &v1beta1.Workspace{}))
		})
		if left := len(claims(t, ws)) + len(nodesOf(t, ws)); left > 0 {
			t.Errorf("Workspace %q is gone and leaves %d claims and nodes", ws.Name, left)
		}
	}
}
