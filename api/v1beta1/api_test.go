package v1beta1_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1alpha1"
	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

// The two versions are declared apart, because the root kinds carry the markers:
// what they generate must not drift apart.
func TestBothVersionsHaveOneSchema(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../config/crd/bases/kaito.sh_workspaces.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []map[string]any `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	byName := map[any]map[string]any{}
	for _, v := range crd.Spec.Versions {
		byName[v["name"]] = v
	}
	older, newer := byName["v1alpha1"], byName["v1beta1"]
	if len(byName) != 2 || older == nil || newer == nil {
		t.Fatalf("the CRD has the versions %v, want v1alpha1 and v1beta1", byName)
	}
	if older["served"] != true || newer["served"] != true || older["storage"] != false || newer["storage"] != true {
		t.Error("want both versions served and v1beta1 stored")
	}
	for _, part := range []string{"schema", "additionalPrinterColumns", "subresources"} {
		if diff := cmp.Diff(older[part], newer[part]); diff != "" || older[part] == nil {
			t.Errorf("%s of v1alpha1 (-) and of v1beta1 (+) differ:\n%s", part, diff)
		}
	}
}

func TestAnObjectOfOneVersionIsReadAsTheOther(t *testing.T) {
	t.Parallel()
	c, namespace := api.Client(t), api.Namespace(t)
	newer := testkit.Workspace(namespace, "demo")
	older := &v1alpha1.Workspace{
		ObjectMeta: newer.ObjectMeta, Resource: newer.Resource, Inference: newer.Inference,
	}
	if err := c.Create(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	var got v1beta1.Workspace
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(newer), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(newer.Inference, got.Inference); diff != "" {
		t.Errorf("inference (-want +got):\n%s", diff)
	}
}

// What the project was asked for, word for word.
func TestTheTargetIsAccepted(t *testing.T) {
	t.Parallel()
	c, namespace := api.Client(t), api.Namespace(t)
	data, err := os.ReadFile("testdata/target.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ws := object(t, string(data))
	ws.SetNamespace(namespace)
	if err := c.Create(t.Context(), ws, strict()); err != nil {
		t.Fatal(err)
	}
}

func TestShortNames(t *testing.T) {
	t.Parallel()
	d, err := discovery.NewDiscoveryClientForConfig(api.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"v1alpha1", "v1beta1"} {
		list, err := d.ServerResourcesForGroupVersion("kaito.sh/" + version)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range list.APIResources {
			if r.Name == "workspaces" {
				got = append(got, r.SingularName)
				got = append(got, r.ShortNames...)
			}
		}
		if diff := cmp.Diff([]string{"workspace", "wk", "wks"}, got); diff != "" {
			t.Errorf("names of %s (-want +got):\n%s", version, diff)
		}
	}
}

// What the operator writes must pass the schema of the status; what users wait for has its name.
func TestEveryConditionIsAccepted(t *testing.T) {
	t.Parallel()
	refused := v1beta1.ModelNotFound("x", []string{"y"})
	all := map[string][]metav1.Condition{
		v1beta1.ConditionAccepted: {
			v1beta1.Accepted("m"), refused, v1beta1.ModelNotFound("x", nil), v1beta1.NotYetSupported([]string{"tuning"}),
			v1beta1.AcceptedUnknown(v1beta1.ReasonNoMatchingNode, "No node is there"),
		},
		v1beta1.ConditionNodesReady: {
			v1beta1.NodesReady([]string{"a", "b", "c", "d", "e", "f"}), v1beta1.NoMatchingNode("a=b"), v1beta1.NodesNotReady([]string{"a"}),
			v1beta1.NodesCanRun([]string{"a"}), v1beta1.NodesUnjudged(), v1beta1.NodesTooSmall(),
		},
		v1beta1.ConditionResourceReady: {v1beta1.ResourceReady(), v1beta1.ResourceNotReady(refused)},
		v1beta1.ConditionInferenceReady: {
			v1beta1.InferenceReady("s"), v1beta1.ServingPreviousVersion("s"), v1beta1.InferenceWaits(refused),
			v1beta1.InferenceNotReady(v1beta1.ReasonImagePullError, "Pod %q waits", "p"),
		},
		v1beta1.ConditionWorkspaceReady: {v1beta1.WorkspaceReady(), v1beta1.WorkspaceNotReady(refused)},
		v1beta1.ConditionWorkspaceSucceeded: {
			v1beta1.WorkspaceSucceeded(v1beta1.WorkspaceReady()), v1beta1.WorkspaceSucceeded(v1beta1.WorkspaceNotReady(refused)),
		},
	}
	c, namespace := api.Client(t), api.Namespace(t)
	ws := testkit.Workspace(namespace, "demo")
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	for kind, conditions := range all {
		for _, condition := range conditions {
			if condition.Type != kind {
				t.Errorf("condition %q has the type %q, want %q", condition.Message, condition.Type, kind)
			}
			if strings.HasSuffix(condition.Message, ".") || condition.Message[:1] != strings.ToUpper(condition.Message[:1]) {
				t.Errorf("message %q: want a capital, and no full stop", condition.Message)
			}
			condition.LastTransitionTime = metav1.Unix(1, 0)
			ws.Status.Conditions = []metav1.Condition{condition}
			if err := c.Status().Update(t.Context(), ws); err != nil {
				t.Errorf("condition %s with reason %s: %v", condition.Type, condition.Reason, err)
			}
		}
	}
}

// object reads YAML as kubectl does.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	var fields map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &fields); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return &unstructured.Unstructured{Object: fields}
}

// workspace is a whole manifest from its stanzas.
func workspace(t *testing.T, version, namespace, name, stanzas string) *unstructured.Unstructured {
	t.Helper()
	return object(t, fmt.Sprintf("apiVersion: kaito.sh/%s\nkind: Workspace\nmetadata: {name: %q, namespace: %s}\n%s", version, name, namespace, stanzas))
}

// strict makes the server refuse fields that it does not know.
func strict() *client.CreateOptions {
	return &client.CreateOptions{FieldValidation: metav1.FieldValidationStrict}
}
