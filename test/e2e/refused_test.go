package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// manifest is a Workspace with the given stanzas, on nodes with the usual label.
func manifest(name, stanzas string) string {
	return fmt.Sprintf(`apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: %s}
resource: {labelSelector: {matchLabels: {apps: smollm2}}}
%s
`, name, stanzas)
}

const (
	preset = "inference: {preset: {name: smollm2-135m-instruct}}"
	tuning = "tuning: {preset: {name: smollm2-135m-instruct}, method: lora, input: {urls: ['http://files.local:8080/a.jsonl']}, output: {image: 'registry.local:5000/a:1'}}"
)

// Each refusal with its words. The one that takes a minute is begun first.
func TestWhatIsRefused(t *testing.T) {
	url := shared(t).url(t, "")
	slow := make(chan string, 1)
	go func() { slow <- stall(strings.TrimPrefix(url, "http://") + ":80") }()
	t.Run("by the API server", refusedByTheAPIServer)
	t.Run("by the operator", refusedByTheOperator)
	t.Run("by a Service", refusedByTheService)
	t.Run("by a Service, a body that never ends", func(t *testing.T) {
		select {
		case got := <-slow:
			if !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, "The request body did not arrive in time") {
				t.Errorf("the answer is %q, want 408", got)
			}
		case <-time.After(2 * time.Minute):
			t.Error("there is no answer that ends")
		}
	})
}

func refusedByTheAPIServer(t *testing.T) {
	namespace := space(t, "refused")
	for what, tc := range map[string]struct{ manifest, want string }{
		"a name of 63 characters":       {manifest(strings.Repeat("a", 63), preset), "the name of a Workspace has at most 52 characters"},
		"a name that no Service has":    {manifest("1st", preset), "the name of a Workspace is a DNS-1035 label"},
		"both inference and tuning":     {manifest("both", preset+"\n"+tuning), "set exactly one of inference and tuning"},
		"neither":                       {manifest("neither", ""), "set exactly one of inference and tuning"},
		"neither preset nor template":   {manifest("nothing", "inference: {}"), "set exactly one of inference.preset and inference.template"},
		"a field that does not exist":   {manifest("typo", "inference: {preset: {title: smollm2-135m-instruct}}"), `unknown field "inference.preset.title"`},
		"a value of the wrong type":     {manifest("typed", "inference: {preset: {name: [smollm2]}}"), "inference.preset.name"},
		"a Workspace without resources": {strings.ReplaceAll(manifest("bare", preset), "resource: ", "# "), "resource"},
	} {
		t.Run(what, func(t *testing.T) {
			out, err := cluster.commandWithInput(time.Minute, tc.manifest, "kubectl", "apply", "-n", namespace, "-f", "-")
			if err == nil || !strings.Contains(out, tc.want) {
				t.Errorf("kubectl apply says %q (%v), want %q", out, err, tc.want)
			}
		})
	}
	if left := strings.TrimSpace(kubectl(t, "get", "workspaces", "-n", namespace, "-o", "name")); left != "" {
		t.Errorf("what was refused is there all the same: %s", left)
	}
}

func refusedByTheOperator(t *testing.T) {
	namespace := space(t, "unaccepted")
	for name, tc := range map[string]struct{ stanzas, condition, want string }{
		"unknown":   {"inference: {preset: {name: smollm2-135m-instuct}}", "Accepted", `False ModelNotFound: No model is called "smollm2-135m-instuct", which preset.name says: did you mean smollm2-135m-instruct`},
		"no-gpu":    {"inference: {preset: {name: phi-4-mini-instruct}}", "Accepted", "False DoesNotFit: "},
		"no-config": {"inference: {preset: {name: smollm2-135m-instruct}, config: not-there}", "Accepted", `False ConfigMapNotFound: ConfigMap "not-there", which inference.config names, is not in this namespace: create it with the key inference_config.yaml`},
		"empty-pod": {"inference: {template: {spec: {containers: []}}}", "Accepted", "False InvalidTemplate: The pod template in inference.template cannot be used: spec.containers is empty"},
		"no-image":  {"inference: {preset: {name: smollm2-135m-instruct, presetOptions: {image: 'Not An Image'}}}", "Accepted", "False InvalidImage: "},
		"no-output": {strings.Replace(tuning, "registry.local:5000/a:1", "registry.local:5000/A:1", 1), "Accepted", "False InvalidOutput: Tuning.output.image"},
		"no-weights": {
			"inference: {preset: {name: smollm2-135m-instruct, presetOptions: {image: 'registry.local:5000/kaito/models/none:gguf'}}}",
			"InferenceReady", "False ImagePullError: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := cluster.commandWithInput(time.Minute, manifest(name, tc.stanzas), "kubectl", "apply", "-n", namespace, "-f", "-"); err != nil {
				t.Fatal(err)
			}
			w := workspace{namespace, name}
			eventually(t, 90*time.Second, "the condition "+tc.condition+" says "+tc.want, func() (string, bool) {
				out := w.condition(t, tc.condition)
				return out, strings.HasPrefix(out, tc.want)
			})
			if ready := w.condition(t, "WorkspaceReady"); !strings.HasPrefix(ready, "False ") {
				t.Errorf("WorkspaceReady is %q", ready)
			}
			w.kubectl(t, "delete", "workspace", name) // its pod would go on asking for the image
		})
	}
}

func TestAWorkspaceWithoutNodesGoesOnByItselfOnceThereIsOne(t *testing.T) {
	w := newWorkspace(t, "waiting", "apps: smollm2", "apps: not-yet")
	eventually(t, 30*time.Second, "the Workspace says that there is no node", func() (string, bool) {
		out := w.condition(t, "NodesReady")
		return out, strings.HasPrefix(out, `False NoMatchingNode: No node matches the label selector "apps=not-yet": label one with `)
	})
	if state := w.field(t, "workspace/waiting", ".status.state"); state != "Pending" {
		t.Errorf("its state is %q, want Pending: a node may come", state)
	}
	kubectl(t, "label", "node", "node2", "--overwrite", "apps=not-yet")
	t.Cleanup(func() {
		if err := cluster.labelNodes(); err != nil {
			t.Error(err)
		}
	})
	w.wait(t)
	w.chats(t)
}

func refusedByTheService(t *testing.T) {
	w := shared(t)
	url := w.url(t, "")
	chat := func(messages string) string { return `{"model":"` + model + `","messages":` + messages + `}` }
	for what, tc := range map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"JSON that is broken":           {"/v1/chat/completions", `{"model":`, http.StatusBadRequest, `"error"`},
		"no JSON at all":                {"/chat", `What is the capital of France?`, http.StatusBadRequest, `"detail"`},
		"an unknown model":              {"/v1/chat/completions", `{"model":"gpt-4o","messages":[]}`, http.StatusNotFound, "The model `gpt-4o` does not exist here; served: " + model},
		"messages of the wrong type":    {"/v1/chat/completions", chat(`"hello"`), http.StatusBadRequest, `"error"`},
		"no prompt":                     {"/chat", `{}`, http.StatusBadRequest, `"detail"`},
		"a path that does not exist":    {"/v2/chat", `{}`, http.StatusNotFound, "Not Found"},
		"what administers the engine":   {"/slots", `{}`, http.StatusNotFound, "Not Found"},
		"a prompt beyond the context":   {"/v1/chat/completions", chat(`[{"role":"user","content":"` + strings.Repeat("word ", 9000) + `"}]`), http.StatusBadRequest, "context"},
		"a body larger than is allowed": {"/v1/chat/completions", chat(`[{"role":"user","content":"` + strings.Repeat("x", 33<<20) + `"}]`), http.StatusRequestEntityTooLarge, "The request body is larger than"},
	} {
		t.Run(what, func(t *testing.T) {
			got, err := post(url+tc.path, tc.body)
			if err != nil {
				t.Fatal(err)
			}
			if got.status != tc.status || !strings.Contains(got.body, tc.want) {
				t.Errorf("the answer is %d %.300q, want %d and %q", got.status, got.body, tc.status, tc.want)
			}
		})
	}
	w.chats(t)
}

// stall sends the beginning of a request, waits, and returns what comes back.
func stall(address string) string {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "POST /chat HTTP/1.1\r\nHost: kaito\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"prompt\":"); err != nil {
		return err.Error()
	}
	all, err := io.ReadAll(c)
	if err != nil {
		return fmt.Sprintf("%s%v", all, err)
	}
	return string(all)
}
