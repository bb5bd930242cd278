package workspace_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

// templateOf is a Workspace with a pod template of the user's own.
func templateOf(t *testing.T, text string) func(*v1beta1.Workspace) {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return func(ws *v1beta1.Workspace) {
		ws.Inference = &v1beta1.InferenceSpec{Template: &runtime.RawExtension{Raw: raw}}
	}
}

func TestInferenceOptionsOnARealAPIServer(t *testing.T) {
	c := operate(t)
	namespace := api.Namespace(t)
	api.Join(t, testkit.Node(namespace, testkit.NodeLabel("apps", namespace)))
	nodes := testkit.OnNodes("apps", namespace)

	t.Run("a template becomes a server, and an edit of it rolls the pods", func(t *testing.T) {
		ws := testkit.Workspace(namespace, "own", nodes, templateOf(t, `spec: {containers: [{name: server, image: "registry.example/server:1"}]}`))
		if err := c.Create(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
		var set appsv1.StatefulSet
		image := func() string {
			if c.Get(t.Context(), client.ObjectKeyFromObject(ws), &set) != nil {
				return ""
			}
			return set.Spec.Template.Spec.Containers[0].Image
		}
		eventually(t, "the StatefulSet has the user's container", func() bool { return image() == "registry.example/server:1" })
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "own-runner"}, &corev1.ConfigMap{}); client.IgnoreNotFound(err) != nil || err == nil {
			t.Errorf("a ConfigMap for a runner: %v, want none", err)
		}
		eventually(t, "it has a NetworkPolicy, which comes after the server", func() bool {
			return c.Get(t.Context(), client.ObjectKeyFromObject(ws), &networkingv1.NetworkPolicy{}) == nil
		})
		is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferencePending)
		ready(t, c, ws)
		is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferenceReady)
		if ws.Status.Plan != nil || ws.Status.State != v1beta1.StateReady {
			t.Errorf("status is %+v, want Ready without a plan", ws.Status)
		}
		templateOf(t, `spec: {containers: [{name: server, image: "registry.example/server:2"}]}`)(ws)
		if err := c.Update(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the StatefulSet has the new image", func() bool { return image() == "registry.example/server:2" })
		is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferencePending)
	})

	t.Run("an annotation asks for a context, and a change of it rolls the server", func(t *testing.T) {
		ws := testkit.Workspace(namespace, "asks", nodes)
		ws.Annotations = map[string]string{v1beta1.AnnotationContext: "1024"}
		if err := c.Create(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
		// serves says whether the engine is started so, hash what makes the pods notice a change.
		serves := func(flag, value string) bool {
			var told corev1.ConfigMap
			if c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "asks-runner"}, &told) != nil {
				return false
			}
			words := strings.Fields(strings.NewReplacer(`"`, " ", ",", " ").Replace(told.Data["runner.json"]))
			i := slices.Index(words, flag)
			return i >= 0 && i+1 < len(words) && words[i+1] == value
		}
		hash := func() string {
			var set appsv1.StatefulSet
			if c.Get(t.Context(), client.ObjectKeyFromObject(ws), &set) != nil {
				return ""
			}
			return set.Spec.Template.Annotations[v1beta1.AnnotationConfigHash]
		}
		eventually(t, "two requests share 2048 tokens", func() bool { return serves("--ctx-size", "2048") })
		var before string
		eventually(t, "there is a server", func() bool { before = hash(); return before != "" })
		annotate := func(annotations map[string]string) {
			t.Helper()
			edit(t, c, ws, func() { ws.Annotations = annotations })
		}
		annotate(map[string]string{v1beta1.AnnotationContext: "512", v1beta1.AnnotationConcurrency: "3"})
		eventually(t, "three requests share 1536 tokens", func() bool { return serves("--ctx-size", "1536") && serves("--parallel", "3") })
		eventually(t, "its pods roll", func() bool { return hash() != before })
		annotate(map[string]string{v1beta1.AnnotationContext: "8193"})
		is(t, c, ws, v1beta1.ConditionAccepted, v1beta1.ReasonInvalidAnnotation)
		if !serves("--ctx-size", "1536") {
			t.Error("the server does not go on as it was")
		}
	})

	t.Run("a template that nobody can decode is told, and no other Workspace suffers", func(t *testing.T) {
		bad := testkit.Workspace(namespace, "bad", nodes, templateOf(t, `spec: {containers: server}`))
		good := testkit.Workspace(namespace, "good", nodes)
		for _, ws := range []*v1beta1.Workspace{bad, good} {
			if err := c.Create(t.Context(), ws); err != nil {
				t.Fatal(err)
			}
		}
		is(t, c, bad, v1beta1.ConditionAccepted, v1beta1.ReasonInvalidTemplate)
		is(t, c, good, v1beta1.ConditionAccepted, v1beta1.ReasonAccepted)
	})

	t.Run("what only the API server knows of a template is told in its words", func(t *testing.T) {
		ws := testkit.Workspace(namespace, "never", nodes, templateOf(t, `spec: {restartPolicy: Never, containers: [{name: server, image: i}]}`))
		if err := c.Create(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
		is(t, c, ws, v1beta1.ConditionAccepted, v1beta1.ReasonInvalidTemplate)
		want := `The API server does not take the pod template in inference.template: StatefulSet.apps "never" is invalid: ` +
			`spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`
		if diff := cmp.Diff(want, condition(t, c, ws, v1beta1.ConditionAccepted).Message); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	})

	t.Run("a load balancer comes and goes with its annotation", func(t *testing.T) {
		ws := testkit.Workspace(namespace, "open", nodes)
		if err := c.Create(t.Context(), ws); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			annotation string
			kind       corev1.ServiceType
			ports      []int32
		}{
			{"", corev1.ServiceTypeClusterIP, []int32{80, 29500}},
			{"true", corev1.ServiceTypeLoadBalancer, []int32{80}},
			{"TRUE", corev1.ServiceTypeLoadBalancer, []int32{80}},
			{"no", corev1.ServiceTypeClusterIP, []int32{80, 29500}},
		} {
			annotated := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+v1beta1.AnnotationEnableLB+`":"`+step.annotation+`"}}}`))
			if err := c.Patch(t.Context(), ws, annotated); err != nil {
				t.Fatal(err)
			}
			var service corev1.Service
			eventually(t, "the Service is a "+string(step.kind), func() bool {
				return c.Get(t.Context(), client.ObjectKeyFromObject(ws), &service) == nil && service.Spec.Type == step.kind
			})
			var ports []int32
			for _, p := range service.Spec.Ports {
				ports = append(ports, p.Port)
				if step.kind == corev1.ServiceTypeClusterIP && p.NodePort != 0 {
					t.Errorf("port %d keeps the node port %d", p.Port, p.NodePort)
				}
			}
			if diff := cmp.Diff(step.ports, ports); diff != "" {
				t.Errorf("with %q the ports are (-want +got):\n%s", step.annotation, diff)
			}
		}
		eventually(t, "Accepted says what the annotation should be", func() bool {
			return condition(t, c, ws, v1beta1.ConditionAccepted).Message == `Model "smollm2-135m-instruct" can be served; `+
				`annotation kaito.sh/enablelb is "no" and changes nothing: say "True" for a load balancer`
		})
	})
}

// ready plays the StatefulSet controller, which does not run here, for one pod.
func ready(t *testing.T, c client.Client, ws *v1beta1.Workspace) {
	t.Helper()
	var set appsv1.StatefulSet
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), &set); err != nil {
		t.Fatal(err)
	}
	set.Status = appsv1.StatefulSetStatus{ObservedGeneration: set.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1}
	if err := c.Status().Update(t.Context(), &set); err != nil {
		t.Fatal(err)
	}
}
