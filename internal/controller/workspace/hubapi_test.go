package workspace_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/gguf/gguftest"
	"kaito.sh/kaito/internal/hub/facts"
	"kaito.sh/kaito/internal/hub/hubtest"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/testkit"
)

const moved = "89abcdef0123456789abcdef0123456789abcdef"

// chatModel is a repository with one GGUF file, which a node without GPUs can serve.
func chatModel() hubtest.Repository {
	return hubtest.Repository{
		Files: map[string]string{"README.md": "---\nlicense: apache-2.0\n---\n"},
		Large: map[string]string{"tiny.gguf": string(gguftest.Servable().Bytes())},
	}
}

// withHub runs the operator with the chart's rights, against a hub with these models.
func withHub(t *testing.T, repos map[string]hubtest.Repository) (c client.Client, h *hubtest.Hub, restart func()) {
	t.Helper()
	h = hubtest.Start(t, repos)
	cfg, rights := options(), withRights(t)
	cfg.HubEndpoint, cfg.HubModels, cfg.Namespace = h.URL, true, home
	stop := start(t, cfg, rights)
	return api.Client(t), h, func() {
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		start(t, cfg, rights)
	}
}

// named creates a Workspace for a model, on a node of its namespace's own.
func named(t *testing.T, c client.Client, name, preset string, edits ...func(*v1beta1.Workspace)) *v1beta1.Workspace {
	t.Helper()
	namespace := api.Namespace(t)
	api.Join(t, testkit.Node(namespace, testkit.NodeLabel("apps", namespace)))
	ws := testkit.Workspace(namespace, name, append([]func(*v1beta1.Workspace){testkit.OnNodes("apps", namespace), testkit.Preset(preset)}, edits...)...)
	create(t, c, ws)
	return ws
}

// runsAt waits until the plan names a commit.
func runsAt(t *testing.T, c client.Client, ws *v1beta1.Workspace, commit string) {
	t.Helper()
	eventually(t, "the plan is at commit "+commit, func() bool {
		condition(t, c, ws, v1beta1.ConditionAccepted)
		return ws.Status.Plan != nil && ws.Status.Plan.ModelRevision == commit
	})
}

func TestAModelOfTheHubOnARealAPIServer(t *testing.T) {
	c, h, restart := withHub(t, map[string]hubtest.Repository{"kaito/Tiny-Chat": chatModel()})
	ws := named(t, c, "chat", "kaito/Tiny-Chat")
	runsAt(t, c, ws, hubtest.Commit)
	is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferencePending)
	runner := child(t, c, ws.Namespace, "chat-runner", &corev1.ConfigMap{}).Data["runner.json"]
	for _, want := range []string{`"repository": "kaito/Tiny-Chat"`, `"revision": "` + hubtest.Commit + `"`, `"tiny.gguf"`} {
		if !strings.Contains(runner, want) {
			t.Errorf("the runner is not told %s:\n%s", want, runner)
		}
	}
	server := child(t, c, ws.Namespace, "chat", &appsv1.StatefulSet{})
	pin := child(t, c, ws.Namespace, "chat-facts", &corev1.ConfigMap{})
	if !metav1.IsControlledBy(pin, ws) || pin.Data["commit"] != hubtest.Commit {
		t.Errorf("what was found is kept as %+v", pin)
	}

	// The branch moves, the operator restarts, somebody deletes what is kept: nothing rolls.
	next := chatModel()
	next.At, next.Past = moved, []string{hubtest.Commit}
	h.Set("kaito/Tiny-Chat", next)
	asked := len(h.Asked())
	restart()
	annotate(t, c, ws, "touched", "1")
	is(t, c, ws, v1beta1.ConditionInferenceReady, v1beta1.ReasonInferencePending)
	if n := len(h.Asked()); n != asked {
		t.Errorf("the hub was asked %d times more though all was known", n-asked)
	}
	if err := c.Delete(t.Context(), pin); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is known is kept again", func() bool {
		err := c.Get(t.Context(), client.ObjectKeyFromObject(pin), pin)
		return err == nil && pin.Data["commit"] == hubtest.Commit && pin.DeletionTimestamp == nil
	})
	if again := child(t, c, ws.Namespace, "chat", &appsv1.StatefulSet{}); again.Generation != server.Generation || again.UID != server.UID {
		t.Error("the pods roll though nobody asked for another commit")
	}

	// Asked for, the branch is read again.
	annotate(t, c, ws, v1beta1.AnnotationRetry, "1")
	runsAt(t, c, ws, moved)

	// Back to the catalog nothing of the hub is left.
	edit(t, c, ws, func() { ws.Inference.Preset.Name = "smollm2-135m-instruct" })
	eventually(t, "what was kept is removed", func() bool { return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(pin), pin)) })
}

// edit changes a Workspace as it stands now, whatever the operator writes meanwhile.
func edit(t *testing.T, c client.Client, ws *v1beta1.Workspace, change func()) {
	t.Helper()
	if err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(ws), ws); err != nil {
			return err
		}
		change()
		return c.Update(t.Context(), ws)
	}); err != nil {
		t.Fatal(err)
	}
}

// annotate sets an annotation.
func annotate(t *testing.T, c client.Client, ws *v1beta1.Workspace, key, value string) {
	t.Helper()
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, key, value))
	if err := c.Patch(t.Context(), ws, patch); err != nil {
		t.Fatal(err)
	}
}

func TestEachFaultOfTheHubIsSaidAndSurvived(t *testing.T) {
	repos := map[string]hubtest.Repository{}
	for i := range 10 {
		repos[fmt.Sprintf("kaito/tiny-%d", i)] = chatModel()
	}
	c, h, _ := withHub(t, repos)
	for i, tc := range []struct {
		what, path string
		fault      hubtest.Fault
		times      int
		reason     string
	}{
		{"a hub with an error of its own", "revision", hubtest.Fault{Status: 503}, 1, v1beta1.ReasonHubUnreachable},
		{"a hub that wants fewer requests", "revision", hubtest.Fault{Status: 429, RetryAfter: "1"}, 1, v1beta1.ReasonHubRateLimited},
		{"a list of files that fails", "tree", hubtest.Fault{Status: 500}, 1, v1beta1.ReasonHubUnreachable},
		{"a file that is cut off, and again", "tiny.gguf", hubtest.Fault{Cut: 10}, 2, v1beta1.ReasonHubUnreachable},
	} {
		for range tc.times {
			h.Fail(tc.path, tc.fault)
		}
		ws := named(t, c, "chat", fmt.Sprintf("kaito/tiny-%d", i))
		t.Log(tc.what)
		is(t, c, ws, v1beta1.ConditionAccepted, tc.reason)
		if state := ws.Status.State; state != v1beta1.StatePending {
			t.Errorf("%s: the state is %s, though it passes by itself", tc.what, state)
		}
		// Another Workspace, with a model of the catalog, is not held up.
		beside := named(t, c, "beside", "smollm2-135m-instruct")
		is(t, c, beside, v1beta1.ConditionAccepted, v1beta1.ReasonAccepted)
		runsAt(t, c, ws, hubtest.Commit)
	}
	for preset, reason := range map[string]string{
		"kaito/none":                 v1beta1.ReasonModelGated, // a hub does not tell strangers whether there is one
		"kaito/smollm2-135m-instrct": v1beta1.ReasonModelGated,
	} {
		ws := named(t, c, "chat", preset)
		is(t, c, ws, v1beta1.ConditionAccepted, reason)
		says(t, c, ws, v1beta1.ConditionAccepted, "look at the name")
	}
}

func TestAHubThatHangsHoldsUpNobodyElse(t *testing.T) {
	repos := map[string]hubtest.Repository{"kaito/modest": chatModel()}
	for i := range 5 {
		repos[fmt.Sprintf("kaito/greedy-%d", i)] = chatModel()
	}
	c, h, _ := withHub(t, repos)
	h.Fail("revision", hubtest.Fault{Hang: true}, hubtest.Fault{Hang: true})
	greedy := api.Namespace(t)
	api.Join(t, testkit.Node(greedy, testkit.NodeLabel("apps", greedy)))
	for i := range 5 {
		create(t, c, testkit.Workspace(greedy, fmt.Sprintf("w-%d", i), testkit.OnNodes("apps", greedy), testkit.Preset(fmt.Sprintf("kaito/greedy-%d", i))))
	}
	eventually(t, "as many readings hang as one namespace may have", func() bool { return len(h.Asked()) >= 2 })
	// Neither its own Workspaces with models of the catalog, nor other namespaces wait.
	beside := testkit.Workspace(greedy, "beside", testkit.OnNodes("apps", greedy))
	create(t, c, beside)
	is(t, c, beside, v1beta1.ConditionAccepted, v1beta1.ReasonAccepted)
	runsAt(t, c, named(t, c, "chat", "kaito/modest"), hubtest.Commit)
}

func TestAGatedModelIsReadWhereItsTokenIs(t *testing.T) {
	gated := chatModel()
	gated.Private = true
	c, h, _ := withHub(t, map[string]hubtest.Repository{"kaito/Gated": gated})
	ws := named(t, c, "chat", "kaito/Gated")
	is(t, c, ws, v1beta1.ConditionAccepted, v1beta1.ReasonModelGated)
	says(t, c, ws, v1beta1.ConditionAccepted, "modelAccessSecret")

	create(t, c, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ws.Namespace, Name: "hub"}, StringData: map[string]string{"HF_TOKEN": hubtest.Token}})
	edit(t, c, ws, func() { ws.Inference.Preset.PresetOptions = &v1beta1.PresetOptions{ModelAccessSecret: "hub"} })
	job := child(t, c, ws.Namespace, "chat-facts", &batchv1.Job{})
	is(t, c, ws, v1beta1.ConditionAccepted, v1beta1.ReasonResolvingModel)
	if !metav1.IsControlledBy(job, ws) || job.Spec.Template.Spec.Volumes[0].Secret.SecretName != "hub" {
		t.Errorf("the Job is %+v", job.Spec.Template.Spec)
	}

	// What its pod says is what the runner's command says.
	answer, err := facts.Read(t.Context(), facts.Options{Endpoints: []facts.Endpoint{{URL: h.URL, Token: hubtest.Token}}, Repository: "kaito/Gated"})
	if err != nil {
		t.Fatal(err)
	}
	file, err := catalog.Write(catalog.Page{Model: answer.Model})
	if err != nil {
		t.Fatal(err)
	}
	podOf(t, c, job, "facts", 0, contract.Found{Reason: contract.Done, Commit: answer.Commit, Model: string(file)})
	end(t, c, job, true)
	runsAt(t, c, ws, hubtest.Commit)
	eventually(t, "the Job goes", func() bool {
		return apierrors.IsNotFound(c.Get(t.Context(), client.ObjectKeyFromObject(job), job)) || job.DeletionTimestamp != nil
	})
	pod := child(t, c, ws.Namespace, "chat", &appsv1.StatefulSet{}).Spec.Template.Spec
	if mounted := fmt.Sprint(pod.Volumes); !strings.Contains(mounted, "hub-token") {
		t.Error("the runner has no token to fetch the weights with")
	}
	for _, asked := range h.Asked() {
		if strings.HasPrefix(asked.Agent, "kaito-operator") && asked.Authorization != "" {
			t.Errorf("the operator has a token: %+v", asked)
		}
	}
	mayReadNoSecret(t, ws.Namespace)
}

// mayReadNoSecret looks with the operator's own rights.
func mayReadNoSecret(t *testing.T, namespace string) {
	t.Helper()
	cluster := api.Config(t)
	withRights(t)(cluster)
	own, err := client.New(cluster, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = own.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "hub"}, &corev1.Secret{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("the operator reads a Secret: %v", err)
	}
}

func TestAHubThatIsNotToBeAsked(t *testing.T) {
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/Tiny-Chat": chatModel()})
	cfg := options()
	cfg.HubEndpoint, cfg.HubModels = h.URL, false
	start(t, cfg)
	c := api.Client(t)
	ws := named(t, c, "chat", "kaito/Tiny-Chat")
	is(t, c, ws, v1beta1.ConditionAccepted, v1beta1.ReasonModelNotFound)
	if n := len(h.Asked()); n > 0 {
		t.Errorf("the hub was asked %d times", n)
	}
}
