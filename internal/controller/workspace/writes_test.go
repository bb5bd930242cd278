package workspace_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/controller/workspace"
	"kaito.sh/kaito/internal/testkit"
)

// requests are what the operator asks of the server about one namespace, but for watches.
type requests struct {
	mu   sync.Mutex
	seen []string
}

func (r *requests) record(cluster *rest.Config) {
	cluster.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			if req.URL.Query().Get("watch") == "" {
				r.mu.Lock()
				r.seen = append(r.seen, req.Method+" "+req.URL.Path)
				r.mu.Unlock()
			}
			return next.RoundTrip(req)
		})
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// since returns what has been asked about a namespace after the first n requests.
func (r *requests) since(n int, namespace string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, s := range r.seen[n:] {
		if _, what, ok := strings.Cut(s, "/namespaces/"+namespace+"/"); ok {
			out = append(out, s[:strings.Index(s, " ")]+" "+what)
		}
	}
	return out
}

func (r *requests) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func TestOnlyWhatDiffersIsWritten(t *testing.T) {
	seen := &requests{}
	c := operate(t, seen.record)
	namespace := api.Namespace(t)
	ws := testkit.Workspace(namespace, "chat", testkit.OnNodes("apps", namespace))
	api.Join(t, testkit.Node(namespace, testkit.NodeLabel("apps", namespace)))
	if err := c.Create(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferencePending)
	becomesReady(t, c, ws)
	// The event is written last, and by the side.
	eventsTell(t, c, namespace)
	all := seen.since(0, namespace)
	writes := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return strings.HasPrefix(s, "GET ") })
	kinds := len(children(t, c, ws))
	// Each child once, the status as it starts and as it answers, and one event.
	if len(writes) != kinds+3 {
		t.Errorf("%d writes for %d children, want %d:\n%s", len(writes), kinds, kinds+3, strings.Join(writes, "\n"))
	}
	if len(all) != len(writes) {
		t.Errorf("%d reads, want none beside the cache:\n%s", len(all)-len(writes), strings.Join(all, "\n"))
	}
	for name, child := range children(t, c, ws) {
		t.Run(name+" comes back after an edit by hand", func(t *testing.T) { editComesBack(t, c, seen, child) })
		t.Run(name+" comes back after it lost its labels", func(t *testing.T) { labelsComeBack(t, c, child) })
	}
}

func editComesBack(t *testing.T, c client.Client, seen *requests, child client.Object) {
	t.Helper()
	edit, ok := edits()[child.GetObjectKind().GroupVersionKind().Kind]
	if !ok {
		t.Fatalf("say in edits what a person may do to a %T", child)
	}
	before, from := child.DeepCopyObject().(client.Object), seen.count()
	edit(child)
	if cmp.Equal(plain(t, before), plain(t, child)) {
		t.Fatal("the edit changes nothing")
	}
	if err := c.Update(t.Context(), child, client.FieldOwner("a-person")); err != nil {
		t.Fatal(err)
	}
	backTo(t, c, before)
	var asked []string
	eventually(t, "a write", func() bool { asked = seen.since(from, child.GetNamespace()); return len(asked) > 0 })
	// A StatefulSet of a new generation is not ready until its controller has looked at it.
	asked = slices.DeleteFunc(asked, func(s string) bool { return s == "PATCH workspaces/chat/status" || s == "POST events" })
	// It reads who owns the fields, takes those over that it made when it created the object, once, and applies.
	for _, request := range asked {
		if !strings.HasSuffix(request, "/"+child.GetName()) || len(asked) > 3 {
			t.Errorf("the operator asked for %v, want no more than a read and two writes of %q", asked, child.GetName())
		}
	}
}

// labelsComeBack: without its label a child is out of the cache, and still ours.
func labelsComeBack(t *testing.T, c client.Client, child client.Object) {
	t.Helper()
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(child), child); err != nil {
		t.Fatal(err)
	}
	before := child.DeepCopyObject().(client.Object)
	child.SetLabels(nil)
	if err := c.Update(t.Context(), child, client.FieldOwner("a-person")); err != nil {
		t.Fatal(err)
	}
	backTo(t, c, before)
}

// backTo waits until an object is what it was.
func backTo(t *testing.T, c client.Client, before client.Object) {
	t.Helper()
	now, diff := before.DeepCopyObject().(client.Object), ""
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(before), now); err != nil {
			t.Fatal(err)
		}
		if diff = cmp.Diff(plain(t, before), plain(t, now)); diff == "" {
			return
		}
	}
	t.Errorf("not as it was after 10 s (-before +now):\n%s", diff)
}

// plain is an object without what the server counts and keeps books of.
func plain(t *testing.T, o client.Object) map[string]any {
	t.Helper()
	data, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"apiVersion", "kind", "status"} {
		delete(data, field)
	}
	for _, field := range []string{"resourceVersion", "generation", "managedFields"} {
		unstructured.RemoveNestedField(data, "metadata", field)
	}
	return data
}

// children are the objects in the cluster that the Workspace controls.
func children(t *testing.T, c client.Client, ws *v1beta1.Workspace) map[string]client.Object {
	t.Helper()
	found := map[string]client.Object{}
	for _, empty := range workspace.Kinds() {
		gvk, err := c.GroupVersionKindFor(empty)
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.Scheme().New(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.List(t.Context(), list.(client.ObjectList), client.InNamespace(ws.Namespace)); err != nil {
			t.Fatal(err)
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range items {
			if o := item.(client.Object); metav1.IsControlledBy(o, ws) {
				o.GetObjectKind().SetGroupVersionKind(gvk)
				found[gvk.Kind+" "+o.GetName()] = o
			}
		}
	}
	return found
}

// edits are what a person does to a child of each kind, and what must come back.
func edits() map[string]func(client.Object) {
	return map[string]func(client.Object){
		"ConfigMap": func(o client.Object) { o.(*corev1.ConfigMap).Data["runner.json"] = "{}" },
		"Service":   func(o client.Object) { o.(*corev1.Service).Spec.Selector["extra"] = "x" },
		"PodDisruptionBudget": func(o client.Object) {
			o.(*policyv1.PodDisruptionBudget).Spec.MaxUnavailable = new(intstr.FromString("50%"))
		},
		"NetworkPolicy": func(o client.Object) { o.(*networkingv1.NetworkPolicy).Spec.PodSelector.MatchLabels = nil },
		"StatefulSet": func(o client.Object) {
			o.(*appsv1.StatefulSet).Spec.Template.Spec.Containers[0].Resources.Limits = nil
			o.(*appsv1.StatefulSet).Spec.Replicas = new(int32(3))
		},
	}
}
