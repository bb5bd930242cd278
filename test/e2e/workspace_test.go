package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// nodeLabel is on every node of the cluster and in every Workspace that is to run.
const nodeLabel = "apps=smollm2"

// model is the model of every Workspace here.
const model = "smollm2-135m-instruct"

// workspace is a Workspace in a namespace that holds its pods to Pod Security "restricted".
type workspace struct {
	namespace, name string
}

// space makes a namespace of the test's own, and begins to remove it after the test. Its
// name is new each time: one that is kept or still going away is not in the way.
func space(t *testing.T, name string) string {
	t.Helper()
	name += "-" + strconv.FormatInt(time.Now().UnixNano()%1_000_000_000, 36)
	manifest := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}\n", name)
	if _, err := cluster.commandWithInput(time.Minute, manifest, "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := cluster.command(time.Minute, "kubectl", "delete", "namespace", name, "--wait=false"); err != nil {
			t.Error(out, err)
		}
	})
	return name
}

// newWorkspace gives the manifest of a Workspace to kubectl, in a namespace of its own, and
// returns before anything has come of it. The edits are pairs of an old text and a new one.
func newWorkspace(t *testing.T, name string, edits ...string) workspace {
	t.Helper()
	return newWorkspaceIn(t, space(t, name), name, edits...)
}

// newWorkspaceIn does so in a namespace that is there.
func newWorkspaceIn(t *testing.T, namespace, name string, edits ...string) workspace {
	t.Helper()
	w := workspace{namespace, name}
	manifest, err := os.ReadFile(filepath.Join(cluster.root, "examples/inference/smollm2.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.NewReplacer(append(edits, "name: smollm2\n", "name: "+name+"\n")...).Replace(string(manifest))
	if _, err := cluster.commandWithInput(time.Minute, edited, "kubectl", "apply", "-n", w.namespace, "-f", "-"); err != nil {
		t.Fatal(err)
	}
	return w
}

// serve makes a Workspace and waits until it answers.
func serve(t *testing.T, name string) workspace {
	t.Helper()
	w := newWorkspace(t, name)
	w.wait(t)
	return w
}

// wait waits until the Workspace says that it answers, and tells all about it when it does not.
func (w workspace) wait(t *testing.T) {
	t.Helper()
	_, err := cluster.command(5*time.Minute, "kubectl", "wait", "-n", w.namespace, "--for=condition=WorkspaceReady", "--timeout=4m", "workspace/"+w.name)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, w.kubectl(t, "get", "workspace,all", "-o", "wide"), w.kubectl(t, "get", "workspace", w.name, "-o", "yaml"))
	}
}

// kubectl runs kubectl in the namespace of the Workspace.
func (w workspace) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return kubectl(t, append([]string{"-n", w.namespace}, args...)...)
}

// field is one field of an object, as kubectl's JSONPath finds it.
func (w workspace) field(t *testing.T, object, path string) string {
	t.Helper()
	return strings.TrimSpace(w.kubectl(t, "get", object, "--ignore-not-found", "-o", "jsonpath={"+path+"}"))
}

// url is the address of a path at the Service, which the machine reaches as pods do.
func (w workspace) url(t *testing.T, path string) string {
	t.Helper()
	ip := w.field(t, "service/"+w.name, ".spec.clusterIPs[0]")
	if ip == "" {
		t.Fatalf("the Service of Workspace %q has no address", w.name)
	}
	return "http://" + ip + path
}

// condition is "True Reason: message" of one condition.
func (w workspace) condition(t *testing.T, kind string) string {
	t.Helper()
	at := fmt.Sprintf(`.status.conditions[?(@.type=="%s")]`, kind)
	return w.field(t, "workspace/"+w.name, at+".status} {"+at+".reason}: {"+at+".message")
}

var (
	sharedOnce sync.Once
	sharedIs   workspace
)

// shared is the Workspace of all tests that only ask questions: the first example, as it
// is. It stays until the trainings begin, which are the last tests.
func shared(t *testing.T) workspace {
	t.Helper()
	sharedOnce.Do(func() {
		kubectl(t, "apply", "-f", filepath.Join(cluster.root, "examples/inference/smollm2.yaml"))
		sharedIs = workspace{"default", "smollm2"}
	})
	sharedIs.wait(t)
	return sharedIs
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// client opens a connection for each request, as a stranger does: a kept one would go on
// to a pod that gets no new connections any more.
var client = &http.Client{Timeout: 3 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}}

// post sends JSON and reads the whole answer.
func post(url, body string) (answer, error) {
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	if len(body) > 1<<20 {
		// As curl does: who is refused for the length must not lose the answer by writing on.
		request.Header.Set("Expect", "100-continue")
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	return read(response)
}

func get(url string) (answer, error) {
	response, err := client.Get(url)
	if err != nil {
		return answer{}, err
	}
	return read(response)
}

func read(response *http.Response) (answer, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

// chats asks /chat one short question and ends the test unless there is an answer.
func (w workspace) chats(t *testing.T) {
	t.Helper()
	got, err := post(w.url(t, "/chat"), `{"prompt":"Say hello","return_full_text":false,"generate_kwargs":{"max_new_tokens":4}}`)
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Result string }
	if err := json.Unmarshal([]byte(got.body), &said); err != nil || got.status != http.StatusOK || said.Result == "" {
		t.Fatalf("Workspace %q answers %d %q, want 200 and a result", w.name, got.status, got.body)
	}
}

// declared are the children of the Workspace by kind and name, as the operator declares
// them: without what differs each time a server makes such an object.
func (w workspace) declared(t *testing.T) map[string]any {
	t.Helper()
	const kinds = "configmap,service,statefulset,poddisruptionbudget,networkpolicy"
	var list struct{ Items []map[string]any }
	out := w.kubectl(t, "get", kinds, "-l", "kaito.sh/workspace="+w.name, "-o", "json")
	if err := json.NewDecoder(bytes.NewReader([]byte(out))).Decode(&list); err != nil {
		t.Fatal(err)
	}
	children := map[string]any{}
	for _, o := range list.Items {
		metadata := o["metadata"].(map[string]any)
		delete(o, "status")
		for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
			delete(metadata, field)
		}
		kind := strings.ToLower(o["kind"].(string))
		if spec, ok := o["spec"].(map[string]any); ok && kind == "service" {
			delete(spec, "clusterIP")
			delete(spec, "clusterIPs")
		}
		children[kind+"/"+metadata["name"].(string)] = o
	}
	return children
}

// everything are the names of all objects of any kind in the namespace of the Workspace,
// but for what Kubernetes puts into each namespace, and events.
func (w workspace) everything(t *testing.T) []string {
	t.Helper()
	kinds := strings.Fields(kubectl(t, "api-resources", "--namespaced", "--verbs=list", "-o", "name"))
	var asked []string
	for _, k := range kinds {
		switch k {
		case "events", "events.events.k8s.io": // the story of what has gone
		case "endpoints": // the old form of EndpointSlices, which are asked for
		default:
			asked = append(asked, k)
		}
	}
	var left []string
	for _, name := range strings.Fields(w.kubectl(t, "get", strings.Join(asked, ","), "--ignore-not-found", "-o", "name")) {
		if name != "configmap/kube-root-ca.crt" && name != "serviceaccount/default" {
			left = append(left, name)
		}
	}
	return left
}
