package v1beta1_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

// kubectl prints the table that the server makes: its columns are a promise.
func TestColumns(t *testing.T) {
	t.Parallel()
	c, namespace := api.Client(t), api.Namespace(t)
	ws := testkit.Workspace(namespace, "demo", testkit.InstanceType("Standard_NC6s_v3"))
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	nodes := int32(1)
	ws.Status = v1beta1.WorkspaceStatus{
		State: v1beta1.StateReady, TargetNodeCount: &nodes, Plan: &v1beta1.PlanStatus{Model: "smollm2"},
		Conditions: []metav1.Condition{
			v1beta1.ResourceReady(), v1beta1.InferenceReady("demo"),
			v1beta1.WorkspaceNotReady(v1beta1.InferenceReady("demo")),
		},
	}
	for i := range ws.Status.Conditions {
		ws.Status.Conditions[i].LastTransitionTime = metav1.Unix(1, 0)
	}
	if err := c.Status().Update(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"v1alpha1", "v1beta1"} {
		got := table(t, version, namespace)
		var narrow, wide, cells []string
		for i, column := range got.ColumnDefinitions {
			if column.Priority == 0 {
				narrow = append(narrow, strings.ToUpper(column.Name))
			}
			wide = append(wide, strings.ToUpper(column.Name))
			cell := fmt.Sprint(got.Rows[0].Cells[i])
			if column.Name == "Age" {
				cell = "AGE"
			}
			cells = append(cells, cell)
		}
		if diff := cmp.Diff(strings.Fields("NAME INSTANCE RESOURCEREADY INFERENCEREADY WORKSPACEREADY AGE"), narrow); diff != "" {
			t.Errorf("columns of %s (-want +got):\n%s", version, diff)
		}
		if diff := cmp.Diff(append(narrow, "JOBSTARTED", "NODES", "MODEL", "STATE"), wide); diff != "" {
			t.Errorf("wide columns of %s (-want +got):\n%s", version, diff)
		}
		if diff := cmp.Diff([]string{"demo", "Standard_NC6s_v3", "True", "True", "False", "AGE", "<nil>", "1", "smollm2", "Ready"}, cells); diff != "" {
			t.Errorf("cells of %s (-want +got):\n%s", version, diff)
		}
	}
}

// table asks for the Workspaces of a namespace as kubectl get does.
func table(t *testing.T, version, namespace string) metav1.Table {
	t.Helper()
	config := api.Config(t)
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("%s/apis/kaito.sh/%s/namespaces/%s/workspaces", strings.TrimSuffix(config.Host, "/"), version, namespace)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	response, err := hc.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var got metav1.Table
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != 1 {
		t.Fatalf("the table has %d rows, want 1", len(got.Rows))
	}
	return got
}
