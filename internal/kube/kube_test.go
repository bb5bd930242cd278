package kube_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/kube"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

func TestApplyKeepsWhatIsOurs(t *testing.T) {
	t.Parallel()
	c, namespace := api.Client(t), api.Namespace(t)
	w := kube.NewWriter(c)
	read := func() *corev1.ConfigMap {
		t.Helper()
		var have corev1.ConfigMap
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "child"}, &have); err != nil {
			t.Fatal(err)
		}
		return &have
	}
	apply := func() {
		t.Helper()
		wanted := corev1ac.ConfigMap("child", namespace).WithData(map[string]string{"ours": "1"})
		if err := w.Apply(t.Context(), []kube.Child{{Kind: "ConfigMap", Name: "child", Object: wanted}}); err != nil {
			t.Fatal(err)
		}
	}
	apply()
	first := read()
	apply()
	if again := read(); again.ResourceVersion != first.ResourceVersion {
		t.Error("applying the same again writes")
	}
	first.Data = map[string]string{"ours": "2", "theirs": "3"}
	if err := c.Update(t.Context(), first, client.FieldOwner("a-person")); err != nil {
		t.Fatal(err)
	}
	apply()
	if got := read().Data; got["ours"] != "1" || got["theirs"] != "3" {
		t.Errorf("data is %v, want ours back and theirs left", got)
	}
}

func TestApplyNamesWhatWasRefused(t *testing.T) {
	t.Parallel()
	namespace := api.Namespace(t)
	after := kube.Child{Kind: "ConfigMap", Name: "after", Object: corev1ac.ConfigMap("after", namespace)}
	bad := kube.Child{Kind: "ConfigMap", Name: "No Name", Object: corev1ac.ConfigMap("No Name", namespace)}
	err := kube.NewWriter(api.Client(t)).Apply(t.Context(), []kube.Child{bad, after})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `apply ConfigMap "No Name": `) {
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
	w, stale := kube.NewWriter(c), ws.DeepCopy()
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
