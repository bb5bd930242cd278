package workspace_test

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

// home is the operator's namespace.
const home = "kaito-system"

// ours is a model that nobody ships.
const ours = `id: our-tiny-chat
hubID: our-team/Our-Tiny-Chat
licence: Apache-2.0
context: 4096
layers: 2
heads: 4
kvHeads: 2
headDim: 16
hidden: 64
forms: {gguf: {file: tiny.gguf, sizeBytes: 1000000}}
`

// withRights has the operator reach the cluster with the chart's rights alone.
func withRights(t *testing.T) func(*rest.Config) {
	t.Helper()
	cluster := api.WithRightsOf(t, "../../../charts/kaito", home, "kaito-operator")
	return func(c *rest.Config) { c.Impersonate = cluster.Impersonate }
}

func catalogMap(namespace, name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{v1beta1.LabelCatalog: "true"}}, Data: data}
}

func create(t *testing.T, c client.Client, all ...client.Object) {
	t.Helper()
	for _, o := range all {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// says waits for words in a condition.
func says(t *testing.T, c client.Client, ws *v1beta1.Workspace, kind, words string) {
	t.Helper()
	eventually(t, kind+" says "+words, func() bool { return strings.Contains(condition(t, c, ws, kind).Message, words) })
}

func TestModelsOfOnesOwn(t *testing.T) {
	cfg := options()
	cfg.Namespace = home
	start(t, cfg, withRights(t))
	c := api.Client(t)
	namespace, elsewhere := api.Namespace(t), api.Namespace(t)
	api.Join(t, testkit.Node(namespace, testkit.NodeLabel("apps", namespace)))
	named := func(ns, preset string) *v1beta1.Workspace {
		ws := testkit.Workspace(ns, "chat", testkit.OnNodes("apps", namespace), testkit.Preset(preset))
		create(t, c, ws)
		return ws
	}
	accepted := v1beta1.ConditionAccepted
	ws, other := named(namespace, "our-tiny-chat"), named(elsewhere, "our-tiny-chat")
	is(t, c, ws, accepted, v1beta1.ReasonModelNotFound)
	is(t, c, other, accepted, v1beta1.ReasonModelNotFound)

	// A catalog is picked up by watch, by the Workspaces of its namespace alone.
	bad := catalogMap(namespace, "models", map[string]string{"our-tiny-chat.yaml": strings.Replace(ours, "context: 4096", "context: many", 1)})
	create(t, c, bad)
	is(t, c, ws, accepted, v1beta1.ReasonInvalidCatalog)
	says(t, c, ws, accepted, `ConfigMap "models", key "our-tiny-chat.yaml"`)
	bad.Data["our-tiny-chat.yaml"] = ours
	if err := c.Update(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	says(t, c, ws, accepted, `Model "our-tiny-chat" can be served; its facts are those of ConfigMap "models"`)
	var set appsv1.StatefulSet
	eventually(t, "the model is served from its own image", func() bool {
		err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), &set)
		return err == nil && len(set.Spec.Template.Spec.Volumes) > 0
	})
	var image string
	for _, v := range set.Spec.Template.Spec.Volumes {
		if v.Image != nil {
			image = v.Image.Reference
		}
	}
	if want := "registry.local:5000/kaito/models/our-tiny-chat:gguf"; image != want {
		t.Errorf("the weights come from %q, want %q", image, want)
	}
	if reason := condition(t, c, other, accepted).Reason; reason != v1beta1.ReasonModelNotFound {
		t.Errorf("a Workspace of another namespace says %s: it must not see the catalog", reason)
	}

	// One in the operator's namespace is for all; that of the namespace comes first.
	all := catalogMap(home, "company", map[string]string{"our-tiny-chat.yaml": strings.Replace(ours, "context: 4096", "context: 2048", 1)})
	create(t, c, all)
	t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), all) })
	says(t, c, other, accepted, `its facts are those of ConfigMap "kaito-system/company"`)
	says(t, c, ws, accepted, `its facts are those of ConfigMap "models", and not those that the same name has elsewhere`)

	// Without its label it is none.
	bad.Labels = nil
	if err := c.Update(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	says(t, c, ws, accepted, `its facts are those of ConfigMap "kaito-system/company"`)
}
