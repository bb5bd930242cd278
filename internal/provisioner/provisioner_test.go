package provisioner

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/internal/config"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

const namespace = "kaito-system"

func options() config.Provisioner {
	const quick = 300 * time.Millisecond
	return config.Provisioner{
		Provider: config.ProviderSim, Sim: config.Sim{Create: quick, Join: quick, GPU: quick, Remove: quick, Lease: quick, Seed: 1},
		Launch: time.Minute, Registration: time.Minute, Initialization: time.Minute, Drain: time.Minute, Replacements: 1,
		Sweep: time.Minute, Repair: true, RepairAfter: time.Minute, RepairPercent: 20, RepairHourly: 3,
		MetricsAddress: "0", HealthAddress: "0", LeaderElect: true, Namespace: namespace,
	}
}

// start runs a provisioner until the test ends or stop is called.
func start(t *testing.T, cluster *rest.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	mgr, err := New(ctx, cluster, options(), testr.New(t))
	if err != nil {
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
	return stop
}

// installed reaches the cluster with the rights of the chart alone.
func installed(t *testing.T) *rest.Config {
	t.Helper()
	return api.WithRightsOf(t, "../../charts/gpu-provisioner", namespace, "kaito-gpu-provisioner", "provider=sim")
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

// asked is a claim for one A100.
func asked(name string) *nodeclaim.NodeClaim {
	return &nodeclaim.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{nodeclaim.LabelWorkspace: "chat", nodeclaim.LabelNamespace: "team"}},
		Spec: nodeclaim.Spec{
			NodeClassRef: &nodeclaim.ClassRef{Group: nodeclaim.ClassGroup, Kind: nodeclaim.ClassKind, Name: nodeclaim.ClassName},
			Requirements: []nodeclaim.Requirement{{Key: corev1.LabelInstanceTypeStable, Operator: corev1.NodeSelectorOpIn, Values: []string{"Standard_NC24ads_A100_v4"}}},
			Resources:    nodeclaim.Requirements{Requests: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}},
		},
	}
}

// TestAClaimsWholeLifeUnderTheChartsRights makes a node for a claim, drains and removes it,
// with no other rights than those of the chart. Only an API server runs.
func TestAClaimsWholeLifeUnderTheChartsRights(t *testing.T) {
	c := api.Client(t)
	stop := start(t, installed(t))
	claim := asked("whole-life")
	if err := c.Create(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	look := func() bool { return c.Get(t.Context(), client.ObjectKeyFromObject(claim), claim) == nil }
	eventually(t, "the claim is ready", func() bool {
		api.TendNodes(t)
		return look() && claim.StatusConditions().IsTrue(nodeclaim.ConditionReady)
	})
	var n corev1.Node
	if err := c.Get(t.Context(), client.ObjectKey{Name: claim.Status.NodeName}, &n); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its kubelet, which no claim waits for, says that it is alive", func() bool {
		return c.Get(t.Context(), client.ObjectKey{Namespace: corev1.NamespaceNodeLease, Name: n.Name}, &coordinationv1.Lease{}) == nil
	})
	if n.Labels[nodeclaim.LabelClass] != nodeclaim.ClassName || n.Labels[nodeclaim.LabelWorkspace] != "chat" {
		t.Errorf("the node has the labels %v", n.Labels)
	}

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "model", Namespace: namespace},
		Spec: corev1.PodSpec{
			NodeName: n.Name, TerminationGracePeriodSeconds: new(int64(0)),
			Containers: []corev1.Container{{Name: "model", Image: "example.com/model"}},
		},
	}
	if err := c.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}

	// Another process takes over, and finds the machine by its node.
	stop()
	start(t, installed(t))

	// Deleting the node takes its claim along, by way of a drain.
	if err := c.Delete(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod was evicted", func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(pod), &corev1.Pod{}))
	})
	eventually(t, "the claim is gone", func() bool { return !look() })
	eventually(t, "the node is gone", func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(&n), &n))
	})
}

func TestMetricsKeepToTheRulesOfPrometheus(t *testing.T) {
	t.Parallel()
	i := newInstruments("sim")
	i.OrphansSeen(2, map[string]int{"young": 1})
	i.OrphanRemoved(true)
	i.Repaired("replace", "NodeNotReady")
	families, err := i.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	if len(families) < 5 {
		t.Errorf("only %d metrics are shown", len(families))
	}
}

func TestWhichCloudIsCalled(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cfg                           config.AKS
		authority, endpoint, audience string
	}{
		"the public one": {
			authority: "https://login.microsoftonline.com/", endpoint: "https://management.azure.com", audience: "https://management.core.windows.net/",
		},
		"a sovereign one": {
			cfg:       config.AKS{AuthorityHost: "https://login.microsoftonline.us/", Endpoint: "https://management.usgovcloudapi.net", Audience: "https://management.core.usgovcloudapi.net"},
			authority: "https://login.microsoftonline.us/", endpoint: "https://management.usgovcloudapi.net", audience: "https://management.core.usgovcloudapi.net",
		},
		"an emulator, whose tokens are for its address": {
			cfg:       config.AKS{AuthorityHost: "https://127.0.0.1:8443", Endpoint: "https://127.0.0.1:8443"},
			authority: "https://127.0.0.1:8443", endpoint: "https://127.0.0.1:8443", audience: "https://127.0.0.1:8443",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := where(tc.cfg)
			manager := got.Services["resourceManager"]
			if got.ActiveDirectoryAuthorityHost != tc.authority || manager.Endpoint != tc.endpoint || manager.Audience != tc.audience {
				t.Errorf("got %s, %s, %s", got.ActiveDirectoryAuthorityHost, manager.Endpoint, manager.Audience)
			}
		})
	}
}

func TestAuthoritiesOfTheCloud(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:         "there is no certificate in PEM in it",
		file + ".no": "read --aks-ca-file",
	} {
		if _, err := caller(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if _, err := caller(""); err != nil {
		t.Errorf("without a file: %v", err)
	}
}

func TestFurtherInstanceTypes(t *testing.T) {
	t.Parallel()
	types, err := instanceTypes(`[{"name": "Lab_L4", "gpus": 1, "memoryGiB": 24, "capability": "8.9"}]`)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Lab_L4", "Standard_NC24ads_A100_v4"} {
		if _, known := types.Lookup(name); !known {
			t.Errorf("%s is not known", name)
		}
	}
	if _, err := instanceTypes("{"); err == nil || !strings.Contains(err.Error(), "--instance-types") {
		t.Errorf("got %v", err)
	}
}
