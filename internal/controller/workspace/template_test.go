package workspace

import (
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

// ofTemplate is a Workspace with a pod template of the user's own.
func ofTemplate(t *testing.T, template string) *v1beta1.Workspace {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(template))
	if err != nil {
		t.Fatal(err)
	}
	return workspace(func(ws *v1beta1.Workspace) {
		ws.Inference = &v1beta1.InferenceSpec{Template: &runtime.RawExtension{Raw: raw}}
	})
}

const goodTemplate = `spec: {containers: [{name: server, image: "registry.example/server:1"}]}`

func TestATemplateIsServedWithoutPlanAndModel(t *testing.T) {
	t.Parallel()
	ws := ofTemplate(t, goodTemplate)
	count := int32(3)
	ws.Resource.Count = &count
	old := testkit.Node("n1", testkit.Versions("v1.30.0", "containerd://1.6.0"))
	d := planner(t).decide(observed{ws: ws, nodes: []corev1.Node{*old}})
	if d.serving == nil || d.serving.Plan.Nodes != 3 {
		t.Fatalf("serving %+v, want three pods", d.serving)
	}
	status := d.status(ws, metav1.Unix(1000, 0))
	if status.Plan != nil || *status.TargetNodeCount != 3 {
		t.Errorf("status has the plan %v and %d nodes, want none and 3", status.Plan, *status.TargetNodeCount)
	}
	if want := v1beta1.AcceptedTemplate(); d.accepted != want {
		t.Errorf("Accepted is %v, want %v", d.accepted, want)
	}
	if want := v1beta1.NodesCanRun([]string{"n1"}); d.nodes != want {
		t.Errorf("NodesReady is %v, want %v: a node that is too old for image volumes runs any pod", d.nodes, want)
	}
}

func TestATemplateThatTheServerRefusesNeedsAnEdit(t *testing.T) {
	t.Parallel()
	o := observed{ws: ofTemplate(t, goodTemplate), nodes: []corev1.Node{*testkit.Node("n1")}}
	d := planner(t).decide(o)
	kind := schema.GroupKind{Group: "apps", Kind: "StatefulSet"}
	refused := apierrors.NewInvalid(kind, "chat", field.ErrorList{field.Invalid(field.NewPath("spec", "template"), "x", "is wrong")})
	d.refusedByServer(o, refused)
	if d.accepted.Reason != v1beta1.ReasonInvalidTemplate || d.inference.Reason != v1beta1.ReasonInvalidTemplate || d.state("") != v1beta1.StateFailed {
		t.Errorf("Accepted is %s, InferenceReady %s, state %s; want InvalidTemplate for both and Failed", d.accepted.Reason, d.inference.Reason, d.state(""))
	}
	o.server = &appsv1.StatefulSet{Status: appsv1.StatefulSetStatus{ReadyReplicas: 1}}
	d.refusedByServer(o, refused)
	if d.inference.Reason != v1beta1.ReasonServingPreviousVersion {
		t.Errorf("with an older server that answers InferenceReady is %s, want ServingPreviousVersion", d.inference.Reason)
	}
	for name, err := range map[string]error{
		"a quota":           apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "statefulsets"}, "chat", errors.New("exceeded quota")),
		"a broken webhook":  apierrors.NewInternalError(errors.New("failed calling webhook")),
		"the Service alone": apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "chat", nil),
	} {
		d := planner(t).decide(o)
		d.refusedByServer(o, err)
		if d.accepted.Reason != v1beta1.ReasonAccepted || d.inference.Reason != v1beta1.ReasonPodRejected {
			t.Errorf("%s: Accepted is %s, InferenceReady %s; want Accepted and PodRejected: it is not the template's fault", name, d.accepted.Reason, d.inference.Reason)
		}
	}
}
