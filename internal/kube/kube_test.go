package kube_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/kube"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

// counted is a client and the number of writes that went through it.
func counted(t *testing.T) (client.Client, *atomic.Int64) {
	t.Helper()
	var writes atomic.Int64
	return interceptor.NewClient(api.Client(t), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			writes.Add(1)
			return c.Create(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			writes.Add(1)
			return c.Patch(ctx, o, p, opts...)
		},
	}), &writes
}

// pass applies what is wanted to what stands there.
func pass(t *testing.T, c client.Client, have client.Object, wanted runtime.ApplyConfiguration) error {
	t.Helper()
	child := kube.Child{Kind: "Child", Name: have.GetName(), Object: wanted}
	err := api.Client(t).Get(t.Context(), client.ObjectKeyFromObject(have), have)
	switch {
	case err == nil:
		child.Have = have
	case !apierrors.IsNotFound(err):
		t.Fatal(err)
	}
	return kube.NewWriter(c, c).Apply(t.Context(), []kube.Child{child})
}

// The server fills in defaults, amounts and numbers in its own words: whatever a
// renderer makes, applying it once is enough.
func TestWhatStandsAsItShouldIsNotWritten(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "render", "testdata", "*", "want.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			namespace := api.Namespace(t)
			for _, document := range strings.Split(string(data), "\n---\n") {
				o := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
					t.Fatal(err)
				}
				o.SetNamespace(namespace)
				appliedOnce(t, o)
			}
		})
	}
}

func appliedOnce(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	c, writes := counted(t)
	for range 3 {
		empty, err := c.Scheme().New(o.GroupVersionKind())
		if err != nil {
			t.Fatal(err)
		}
		have := empty.(client.Object)
		have.SetNamespace(o.GetNamespace())
		have.SetName(o.GetName())
		if err := pass(t, c, have, client.ApplyConfigurationFromUnstructured(o.DeepCopy())); err != nil {
			t.Fatal(err)
		}
	}
	if n := writes.Load(); n != 1 {
		t.Errorf("%s %q: %d writes in three passes, want 1", o.GetKind(), o.GetName(), n)
	}
}

func TestApplyKeepsWhatIsOurs(t *testing.T) {
	t.Parallel()
	namespace := api.Namespace(t)
	c, writes := counted(t)
	have := &corev1.ConfigMap{}
	have.Namespace, have.Name = namespace, "child"
	apply := func(data map[string]string) {
		t.Helper()
		if err := pass(t, c, have, corev1ac.ConfigMap("child", namespace).WithData(data)); err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(have), have); err != nil {
			t.Fatal(err)
		}
	}
	ours := map[string]string{"ours": "1", "dropped": "later"}
	apply(ours)
	have.Data["ours"], have.Data["theirs"] = "2", "3"
	if err := c.Update(t.Context(), have, client.FieldOwner("a-person")); err != nil {
		t.Fatal(err)
	}
	apply(ours)
	if diff := cmp.Diff(map[string]string{"ours": "1", "dropped": "later", "theirs": "3"}, have.Data); diff != "" {
		t.Errorf("ours back and theirs left (-want +got):\n%s", diff)
	}
	apply(map[string]string{"ours": "1"})
	if diff := cmp.Diff(map[string]string{"ours": "1", "theirs": "3"}, have.Data); diff != "" {
		t.Errorf("what we name no more is gone (-want +got):\n%s", diff)
	}
	// Made, owned by applying from the first edit on, applied twice.
	if n := writes.Load(); n != 4 {
		t.Errorf("%d writes, want 4", n)
	}
}

func TestARenumberedPortComesBack(t *testing.T) {
	t.Parallel()
	namespace := api.Namespace(t)
	port := func(name string, number, target int32) *corev1ac.ServicePortApplyConfiguration {
		return corev1ac.ServicePort().WithName(name).WithProtocol(corev1.ProtocolTCP).WithPort(number).WithTargetPort(intstr.FromInt32(target))
	}
	have := &corev1.Service{}
	have.Namespace, have.Name = namespace, "chat"
	apply := func(ports ...*corev1ac.ServicePortApplyConfiguration) {
		t.Helper()
		wanted := corev1ac.Service("chat", namespace).WithSpec(corev1ac.ServiceSpec().
			WithSelector(map[string]string{"app": "chat"}).WithPorts(ports...))
		if err := pass(t, api.Client(t), have, wanted); err != nil {
			t.Fatal(err)
		}
		if err := api.Client(t).Get(t.Context(), client.ObjectKeyFromObject(have), have); err != nil {
			t.Fatal(err)
		}
	}
	numbers := func() map[string]int32 {
		all := map[string]int32{}
		for _, p := range have.Spec.Ports {
			all[p.Name] = p.Port
		}
		return all
	}
	apply(port("http", 80, 5000), port("rendezvous", 29500, 29500))
	address := have.Spec.ClusterIP
	have.Spec.Ports[0].Port = 8080
	if err := api.Client(t).Update(t.Context(), have, client.FieldOwner("a-person")); err != nil {
		t.Fatal(err)
	}
	apply(port("http", 80, 5000), port("rendezvous", 29500, 29500))
	if diff := cmp.Diff(map[string]int32{"http": 80, "rendezvous": 29500}, numbers()); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	if have.Spec.ClusterIP != address {
		t.Error("the Service has another address")
	}
	apply(port("http", 80, 5000))
	if diff := cmp.Diff(map[string]int32{"http": 80}, numbers()); diff != "" {
		t.Errorf("a port that we name no more stays (-want +got):\n%s", diff)
	}
}

func TestApplyTakesNothingOver(t *testing.T) {
	t.Parallel()
	namespace := api.Namespace(t)
	theirs := &corev1.ConfigMap{Data: map[string]string{"key": "theirs"}}
	theirs.Namespace, theirs.Name = namespace, "child"
	if err := api.Client(t).Create(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	// A pass that saw no such object is a moment behind.
	wanted := corev1ac.ConfigMap("child", namespace).WithData(map[string]string{"key": "ours"})
	err := kube.NewWriter(api.Client(t), api.Client(t)).Apply(t.Context(), []kube.Child{{Kind: "ConfigMap", Name: "child", Object: wanted}})
	if !apierrors.IsAlreadyExists(err) {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestApplyRemovesWhatIsNotWantedAndOnlyThat(t *testing.T) {
	t.Parallel()
	namespace := api.Namespace(t)
	ours := &corev1.ConfigMap{}
	ours.Namespace, ours.Name = namespace, "child"
	if err := api.Client(t).Create(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	w, gone := kube.NewWriter(api.Client(t), api.Client(t)), []kube.Child{{Kind: "ConfigMap", Name: "child", Have: ours}}
	for range 2 { // the second time it is gone already
		if err := w.Apply(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	anew := &corev1.ConfigMap{}
	anew.Namespace, anew.Name = namespace, "child"
	if err := api.Client(t).Create(t.Context(), anew); err != nil {
		t.Fatal(err)
	}
	if err := w.Apply(t.Context(), gone); !apierrors.IsConflict(err) {
		t.Errorf("got %v, want the object that came since left alone", err)
	}
	if err := w.Apply(t.Context(), []kube.Child{{Kind: "ConfigMap", Name: "child"}}); err != nil {
		t.Errorf("nothing wanted and nothing there: %v", err)
	}
}

func TestApplyNamesWhatWasRefused(t *testing.T) {
	t.Parallel()
	namespace := api.Namespace(t)
	after := kube.Child{Kind: "ConfigMap", Name: "after", Object: corev1ac.ConfigMap("after", namespace)}
	bad := kube.Child{Kind: "ConfigMap", Name: "No Name", Object: corev1ac.ConfigMap("No Name", namespace)}
	err := kube.NewWriter(api.Client(t), api.Client(t)).Apply(t.Context(), []kube.Child{bad, after})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `create ConfigMap "No Name": `) {
		t.Errorf("got %v, want the server's refusal with the child's name", err)
	}
	err = api.Client(t).Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "after"}, &corev1.ConfigMap{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want nothing written after a refusal", err)
	}
}

func TestReportWritesOnlyNewsAndNeverOverOthers(t *testing.T) {
	t.Parallel()
	c := api.Client(t)
	ws := testkit.Workspace(api.Namespace(t), "ws")
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	w, stale := kube.NewWriter(c, c), ws.DeepCopy()
	pending := v1beta1.WorkspaceStatus{State: v1beta1.StatePending}
	if wrote, err := w.Report(t.Context(), ws, pending); !wrote || err != nil {
		t.Fatalf("wrote is %v, %v; want the first status written", wrote, err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), ws); err != nil {
		t.Fatal(err)
	}
	if ws.Status.State != v1beta1.StatePending {
		t.Errorf("state is %q, want Pending", ws.Status.State)
	}
	if wrote, err := w.Report(t.Context(), ws, pending); wrote || err != nil {
		t.Errorf("wrote is %v, %v; want the same status left alone", wrote, err)
	}
	if _, err := w.Report(t.Context(), stale, v1beta1.WorkspaceStatus{State: v1beta1.StateReady}); !apierrors.IsConflict(err) {
		t.Errorf("got %v, want a conflict for a Workspace that was read before", err)
	}
}
