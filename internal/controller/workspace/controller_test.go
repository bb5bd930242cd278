package workspace_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/config"
	"kaito.sh/kaito/internal/operator"
	"kaito.sh/kaito/internal/testkit"
)

var api testkit.Server

func TestMain(m *testing.M) { api.Main(m) }

// operate runs the operator until the test ends. Edits change how it reaches the
// cluster. Tests that run one do not run in parallel: each would serve the other's Workspaces.
func operate(t *testing.T, edits ...func(*rest.Config)) client.Client {
	t.Helper()
	start(t, options(), edits...)
	return api.Client(t)
}

func options() config.Operator {
	return config.Operator{
		RunnerImage: "registry.local:5000/kaito/runner:dev", LlamacppImage: "registry.local:5000/kaito/llamacpp:dev",
		Models: "registry.local:5000/kaito/models", MetricsAddress: "0", HealthAddress: "0",
	}
}

// provisioning has nodes made.
func provisioning() config.Operator {
	o := options()
	o.NodeProvisioning = true
	return o
}

// start runs an operator until the test ends or stop is called, which returns how it ended.
func start(t *testing.T, cfg config.Operator, edits ...func(*rest.Config)) (stop func() error) {
	t.Helper()
	cluster := api.Config(t)
	for _, edit := range edits {
		edit(cluster)
	}
	ctx, cancel := context.WithCancel(t.Context())
	mgr, err := operator.New(ctx, cluster, cfg, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the operator ended with: %v", err)
		}
	})
	return stop
}

// eventually asks again until ok says yes; what is asked for is in the failure.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}

func condition(t *testing.T, c client.Client, ws *v1beta1.Workspace, kind string) metav1.Condition {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), ws); err != nil {
		t.Fatal(err)
	}
	if found := meta.FindStatusCondition(ws.Status.Conditions, kind); found != nil {
		return *found
	}
	return metav1.Condition{}
}

func is(t *testing.T, c client.Client, ws *v1beta1.Workspace, kind, reason string) {
	t.Helper()
	eventually(t, kind+" has the reason "+reason, func() bool { return condition(t, c, ws, kind).Reason == reason })
}

func TestAWorkspaceOnARealAPIServer(t *testing.T) {
	c := operate(t)
	namespace := api.Namespace(t)
	ws := testkit.Workspace(namespace, "chat", testkit.OnNodes("apps", namespace))
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	is(t, c, ws, v1beta1.ConditionNodesReady, v1beta1.ReasonNoMatchingNode)
	if state := ws.Status.State; state != v1beta1.StatePending {
		t.Errorf("state is %q while no node matches, want Pending", state)
	}

	// A node that joins is picked up by watch.
	api.Join(t, testkit.Node(namespace, testkit.NodeLabel("apps", namespace)))
	is(t, c, ws, v1beta1.ConditionNodesReady, v1beta1.ReasonNodesReady)
	is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferencePending)

	children := []client.Object{
		&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "chat", Namespace: namespace}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "chat", Namespace: namespace}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "chat-runner", Namespace: namespace}},
		&policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "chat", Namespace: namespace}},
	}
	for _, child := range children {
		comesBack(t, c, ws, child)
	}
	becomesReady(t, c, ws)
	staysAsItIs(t, c, ws)
	editedByHand(t, c, namespace)
	eventsTell(t, c, namespace)
	leavesStrangersAlone(t, c)
}

// comesBack sees that a child is there, is owned, and is made again after a deletion by hand.
func comesBack(t *testing.T, c client.Client, ws *v1beta1.Workspace, child client.Object) {
	t.Helper()
	key := client.ObjectKeyFromObject(child)
	eventually(t, "a child is there", func() bool { return c.Get(t.Context(), key, child) == nil })
	if !metav1.IsControlledBy(child, ws) {
		t.Errorf("%T %q is not controlled by its Workspace", child, child.GetName())
	}
	before := child.GetUID()
	if err := c.Delete(t.Context(), child); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a deleted child comes back", func() bool { return c.Get(t.Context(), key, child) == nil && child.GetUID() != before })
}

// becomesReady plays the StatefulSet controller, which does not run here.
func becomesReady(t *testing.T, c client.Client, ws *v1beta1.Workspace) {
	t.Helper()
	var set appsv1.StatefulSet
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), &set); err != nil {
		t.Fatal(err)
	}
	set.Status = appsv1.StatefulSetStatus{ObservedGeneration: set.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1}
	if err := c.Status().Update(t.Context(), &set); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{v1beta1.ConditionResourceReady, v1beta1.ConditionInferenceReady, v1beta1.ConditionWorkspaceReady, v1beta1.ConditionWorkspaceSucceeded} {
		eventually(t, kind+" is True", func() bool { return condition(t, c, ws, kind).Status == metav1.ConditionTrue })
	}
	if ws.Status.State != v1beta1.StateReady || ws.Status.Plan == nil || ws.Status.Plan.Engine != "llamacpp" {
		t.Errorf("status is %+v, want Ready with a plan for llamacpp", ws.Status)
	}
	for _, cond := range ws.Status.Conditions {
		if cond.ObservedGeneration != ws.Generation {
			t.Errorf("%s is about generation %d, want %d", cond.Type, cond.ObservedGeneration, ws.Generation)
		}
	}
}

// staysAsItIs touches the Workspace, which asks for a pass, and sees that the pass writes nothing.
func staysAsItIs(t *testing.T, c client.Client, ws *v1beta1.Workspace) {
	t.Helper()
	versions := func() []string {
		var out []string
		for _, o := range []client.Object{&appsv1.StatefulSet{}, &corev1.Service{}, &policyv1.PodDisruptionBudget{}} {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), o); err != nil {
				t.Fatal(err)
			}
			out = append(out, o.GetResourceVersion())
		}
		return out
	}
	before := versions()
	ws.Annotations = map[string]string{"touched": "yes"}
	if err := c.Update(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	touched := ws.ResourceVersion
	time.Sleep(time.Second) // nothing can be waited for: what is looked for must not happen
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("a second pass changed children (-before +after):\n%s", diff)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), ws); err != nil {
		t.Fatal(err)
	}
	if ws.ResourceVersion != touched {
		t.Error("a second pass wrote a status that had not changed")
	}
}

// editedByHand sees that fields of ours are taken back and fields of others are left.
func editedByHand(t *testing.T, c client.Client, namespace string) {
	t.Helper()
	key := client.ObjectKey{Namespace: namespace, Name: "chat"}
	var svc corev1.Service
	if err := c.Get(t.Context(), key, &svc); err != nil {
		t.Fatal(err)
	}
	svc.Annotations = map[string]string{"of": "somebody else"}
	svc.Spec.Selector = map[string]string{"app": "other"}
	if err := c.Update(t.Context(), &svc, client.FieldOwner("a-person")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the selector comes back", func() bool {
		err := c.Get(t.Context(), key, &svc)
		return err == nil && svc.Spec.Selector[v1beta1.LabelWorkspace] == "chat" && svc.Spec.Selector[v1beta1.LabelRole] == v1beta1.RoleServe
	})
	if svc.Annotations["of"] != "somebody else" {
		t.Error("an annotation of somebody else is gone")
	}
}

func eventsTell(t *testing.T, c client.Client, namespace string) {
	t.Helper()
	eventually(t, "an event says that the model answers", func() bool {
		var events corev1.EventList
		if err := c.List(t.Context(), &events, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(events.Items, func(e corev1.Event) bool {
			return e.Reason == v1beta1.ReasonInferenceReady && e.Type == corev1.EventTypeNormal && e.InvolvedObject.Name == "chat"
		})
	})
}

// leavesStrangersAlone sees that a Service of somebody else is neither changed nor taken over.
func leavesStrangersAlone(t *testing.T, c client.Client) {
	t.Helper()
	namespace := api.Namespace(t)
	theirs := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "chat", Namespace: namespace},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "theirs"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	ws := testkit.Workspace(namespace, "chat", testkit.OnNodes("apps", namespace))
	api.Join(t, testkit.Node(namespace, testkit.NodeLabel("apps", namespace)))
	for _, o := range []client.Object{theirs, ws} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	is(t, c, ws, v1beta1.ConditionAccepted, v1beta1.ReasonNameTaken)
	before := theirs.ResourceVersion
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs); err != nil {
		t.Fatal(err)
	}
	if theirs.ResourceVersion != before {
		t.Error("the Service of somebody else was changed")
	}
}
