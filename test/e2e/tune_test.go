package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tuneLabel is on both nodes, and in every Workspace that trains.
const tuneLabel = "app=tuning-phi-3"

// place is where the local cluster keeps what the tests offer to it, and what it consists of.
type place struct {
	Registry   string `json:"registry"`
	Files      string `json:"files"`
	Dir        string `json:"dir"`
	Components []struct {
		Name string `json:"name"`
		PID  int    `json:"pid"`
	} `json:"components"`
}

// place asks the local cluster. `status` also ends with an error when a node is not ready,
// and tests take nodes away while others ask: what it prints is true all the same.
func (e *env) place() (place, error) {
	var p place
	out, err := e.local("status", "-o", "json")
	if unread := json.NewDecoder(strings.NewReader(out)).Decode(&p); unread != nil {
		return p, errors.Join(err, unread)
	}
	return p, nil
}

func where(t *testing.T) place {
	t.Helper()
	p, err := cluster.place()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// offer puts a file on the local cluster's file server, and says its address for pods. It
// stays until the cluster goes: others may be reading it.
func offer(t *testing.T, file string, content []byte) string {
	t.Helper()
	path := filepath.Join(where(t).Dir, "files", file)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return "http://files.local:8080/" + file
}

// harbour offers the project's own data set.
func harbour(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(cluster.root, "examples/fine-tuning/data/harbour.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	return offer(t, "harbour.parquet", data)
}

// pushSecret makes a Secret for the registry's private repositories, or changes it at once.
func pushSecret(t *testing.T, namespace, secret, password string) {
	t.Helper()
	manifest := kubectl(t, "create", "secret", "docker-registry", "-n", namespace, secret, "--docker-server=registry.local:5000",
		"--docker-username=kaito", "--docker-password="+password, "--dry-run=client", "-o", "yaml")
	if _, err := cluster.commandWithInput(time.Minute, manifest, "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

func password(t *testing.T) string {
	t.Helper()
	words, err := os.ReadFile(filepath.Join(where(t).Dir, "registry", "password"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(words))
}

var roomOnce sync.Once

// makeRoom takes away the Workspace that the tests before the trainings have shared: they
// are through, and a node has room for it or for a training.
func makeRoom(t *testing.T) {
	t.Helper()
	roomOnce.Do(func() { kubectl(t, "delete", "workspace", "-n", "default", "smollm2", "--ignore-not-found") })
}

// tune applies the example of a tuning in a namespace of its own, with pairs of an old
// text and a new one, and settings for the training.
func tune(t *testing.T, name, settings string, edits ...string) workspace {
	t.Helper()
	makeRoom(t)
	w := workspace{space(t, name), name}
	pushSecret(t, w.namespace, "harbour-push", password(t))
	manifest, err := os.ReadFile(filepath.Join(cluster.root, "examples/fine-tuning/smollm2-qlora.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	edits = append(edits, "name: workspace-tuning-phi-3", "name: "+name, `instanceType: "Standard_D2s_v5"`, `instanceType: ""`) // own nodes
	text := strings.NewReplacer(edits...).Replace(string(manifest))
	// A repository of its own: one that holds this very run already would be left as it is.
	text = strings.Replace(text, "private/"+name+":1", "private/"+w.namespace+":1", 1)
	if settings != "" {
		text = strings.Replace(text, "tuning:\n", "tuning:\n  config: settings\n", 1)
		kubectl(t, "create", "configmap", "-n", w.namespace, "settings", "--from-literal=training_config.yaml="+settings)
	}
	kubectl(t, "label", "nodes", "node1", "node2", "--overwrite", tuneLabel)
	if _, err := cluster.commandWithInput(time.Minute, text, "kubectl", "apply", "-n", w.namespace, "-f", "-"); err != nil {
		t.Fatal(err)
	}
	return w
}

// reaches waits for the start of what a condition says, and fails at once where the
// Workspace has failed for good.
func (w workspace) reaches(t *testing.T, limit time.Duration, kind, want string) {
	t.Helper()
	eventually(t, limit, kind+" says "+want, func() (string, bool) {
		got := w.condition(t, kind)
		if w.field(t, "workspace/"+w.name, ".status.state") == "Failed" && !strings.HasPrefix(got, want) {
			t.Fatalf("the Workspace has failed: %s\n%s", got, w.kubectl(t, "get", "workspace", w.name, "-o", "yaml"))
		}
		return got, strings.HasPrefix(got, want)
	})
}

// endpoints counts the ready addresses behind the Service of the Workspace.
func (w workspace) endpoints(t *testing.T) int {
	t.Helper()
	var list struct {
		Items []struct {
			Endpoints []struct {
				Addresses  []string
				Conditions struct{ Ready bool }
			}
		}
	}
	out := w.kubectl(t, "get", "endpointslices", "-l", "kubernetes.io/service-name="+w.name, "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Items) == 0 {
		t.Fatalf("the Service has no EndpointSlice: %v\n%s", err, out)
	}
	ready := 0
	for _, slice := range list.Items {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready {
				ready += len(e.Addresses)
			}
		}
	}
	return ready
}

// puts counts how often a manifest was written under a tag, as the registry's log has it.
func puts(t *testing.T, repository, tag string) int {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(where(t).Dir, "log", "registry.log"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range strings.Split(string(log), "\n") {
		if strings.Contains(line, `"method":"PUT","path":"/v2/`+repository+"/manifests/"+tag+`","status":201`) {
			n++
		}
	}
	return n
}

var (
	tunedOnce sync.Once
	tunedIs   workspace
	tunedEnd  = -1 // ready endpoints that were seen while it trained
)

// tuned is the one Workspace that is trained in full; the tests that look at it share it.
func tuned(t *testing.T) workspace {
	t.Helper()
	tunedOnce.Do(func() {
		w := tune(t, "tuned", "", "http://files.local:8080/harbour.parquet", harbour(t))
		w.reaches(t, 4*time.Minute, "JobStarted", "True ")
		tunedEnd = w.endpoints(t)
		noPythonWithThePushSecret(t, w)
		w.reaches(t, 15*time.Minute, "WorkspaceSucceeded", "True ")
		w.wait(t)
		tunedIs = w
	})
	if tunedIs.name == "" {
		t.Fatal("the training that this test looks at did not end well")
	}
	return tunedIs
}

// noPythonWithThePushSecret looks at the live pod: who mounts the push Secret runs our
// static program in its own image, and mounts nothing with data of the user's.
func noPythonWithThePushSecret(t *testing.T, w workspace) {
	t.Helper()
	var list struct {
		Items []struct {
			Spec struct {
				InitContainers, Containers []struct {
					Name, Image  string
					Command      []string
					VolumeMounts []struct{ Name, MountPath, SubPath string }
				}
				Volumes []struct {
					Name   string
					Secret *struct{ SecretName string }
				}
			}
		}
	}
	out := w.kubectl(t, "get", "pods", "-l", "kaito.sh/role=tune", "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Items) == 0 {
		t.Fatalf("the training's pod: %v\n%s", err, out)
	}
	for _, pod := range list.Items {
		push := map[string]bool{}
		for _, v := range pod.Spec.Volumes {
			if v.Secret != nil && v.Secret.SecretName == "harbour-push" {
				push[v.Name] = true
			}
		}
		holders := 0
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			holds, data := false, false
			for _, m := range c.VolumeMounts {
				holds = holds || push[m.Name]
				data = data || m.MountPath == "/data" || m.MountPath == "/input"
			}
			if !holds {
				continue
			}
			holders++
			if data || !strings.Contains(c.Image, "/kaito/runner") || len(c.Command) == 0 || c.Command[0] != "/kaito-runner" {
				t.Errorf("container %q mounts the push Secret, and data: %v, image %s, command %v", c.Name, data, c.Image, c.Command)
			}
		}
		if holders == 0 {
			t.Error("no container mounts the push Secret: this test looks at the wrong pod")
		}
	}
}

func TestATuningBecomesAModelThatAnswers(t *testing.T) {
	t.Parallel()
	w := tuned(t)
	t.Run("three columns are True and the Service has its two ports", func(t *testing.T) {
		if out := w.kubectl(t, "get", "workspace", w.name); strings.Count(out, "True") != 3 {
			t.Error(out)
		}
		if out := w.kubectl(t, "get", "svc", w.name); !strings.Contains(out, "80/TCP,29500/TCP") {
			t.Error(out)
		}
	})
	t.Run("nothing was an endpoint while it trained", func(t *testing.T) {
		if tunedEnd != 0 {
			t.Errorf("%d ready addresses", tunedEnd)
		}
	})
	t.Run("the loss fell", func(t *testing.T) {
		var status struct {
			Losses []struct{ Loss json.Number }
		}
		if err := json.Unmarshal([]byte(w.field(t, "workspace/"+w.name, ".status.tuning")), &status); err != nil || len(status.Losses) < 2 {
			t.Fatalf("the curve: %v, %v", status, err)
		}
		first, _ := status.Losses[0].Loss.Float64()
		last, _ := status.Losses[len(status.Losses)-1].Loss.Float64()
		if last >= first {
			t.Errorf("the loss went from %v to %v", first, last)
		}
		t.Logf("loss from %v to %v in %d points", first, last, len(status.Losses))
	})
	t.Run("it knows what only the tuned model can know, and the base does not", func(t *testing.T) {
		const question = "What is the name of the harbour cat?"
		said, err := post(w.url(t, "/chat"), `{"prompt":"`+question+`","generate_kwargs":{"temperature":0,"max_new_tokens":40}}`)
		if err != nil || !strings.Contains(said.body, "Pirouette") {
			t.Errorf("the tuned model says %d %q, %v", said.status, said.body, err)
		}
		base, err := post(w.url(t, "/v1/chat/completions"), `{"model":"`+model+`","temperature":0,"max_tokens":40,"messages":[{"role":"user","content":"`+question+`"}]}`)
		if err != nil || base.status != 200 || strings.Contains(base.body, "Pirouette") {
			t.Errorf("the base says %d %q, %v", base.status, base.body, err)
		}
	})
	t.Run("a foreign client pulls what the status says", func(t *testing.T) {
		var status struct{ OutputImage, OutputDigest string }
		if err := json.Unmarshal([]byte(w.field(t, "workspace/"+w.name, ".status.tuning")), &status); err != nil {
			t.Fatal(err)
		}
		ref := "docker://" + where(t).Registry + "/private/harbour:0.0.1"
		out, err := cluster.command(time.Minute, "skopeo", "inspect", "--tls-verify=false", "--creds", "kaito:"+password(t), "--format", "{{.Digest}}", ref)
		if err != nil || strings.TrimSpace(out) != status.OutputDigest || status.OutputImage != "registry.local:5000/private/harbour:0.0.1" {
			t.Errorf("skopeo says %q (%v), the status %+v", out, err, status)
		}
	})
	t.Run("the image loads in plain PEFT", func(t *testing.T) { loadsInPlainPEFT(t, w) })
	t.Run("another Workspace serves it by name", func(t *testing.T) { servesTheAdapter(t, w) })
	t.Run("nothing repeats it", func(t *testing.T) { neverAgain(t, w) })
}

// servesTheAdapter serves the pushed image with inference.adapters, as the example does.
func servesTheAdapter(t *testing.T, from workspace) {
	text, err := os.ReadFile(filepath.Join(cluster.root, "examples/inference/adapters.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.commandWithInput(time.Minute, string(text), "kubectl", "apply", "-n", from.namespace, "-f", "-"); err != nil {
		t.Fatal(err)
	}
	w := workspace{from.namespace, "with-adapter"}
	t.Cleanup(func() { w.kubectl(t, "delete", "workspace", w.name) })
	w.wait(t)
	ask := func(model string) string {
		got, err := post(w.url(t, "/v1/chat/completions"), `{"model":"`+model+`","temperature":0,"max_tokens":40,"messages":[{"role":"user","content":"What is the name of the harbour cat?"}]}`)
		if err != nil || got.status != 200 {
			t.Errorf("%s: %d %s %v", model, got.status, got.body, err)
		}
		return got.body
	}
	for range 2 { // one after the other and back: neither leaves a trace in the other's cache
		if got := ask("harbour"); !strings.Contains(got, "Pirouette") {
			t.Errorf("the adapter says %s", got)
		}
		if got := ask(model); strings.Contains(got, "Pirouette") {
			t.Errorf("the base says %s", got)
		}
	}
	if got, err := get(w.url(t, "/v1/models")); err != nil || !strings.Contains(got.body, `"harbour"`) || !strings.Contains(got.body, model) {
		t.Errorf("the models are %s, %v", got.body, err)
	}
}

// neverAgain applies again, restarts the operator and deletes the Job: the server's pod
// stays, and the registry has seen one manifest under the tag.
func neverAgain(t *testing.T, w workspace) {
	before := w.field(t, "pod/"+w.name+"-0", ".metadata.uid")
	manifest := w.kubectl(t, "get", "workspace.v1alpha1.kaito.sh", w.name, "-o", "yaml")
	if _, err := cluster.commandWithInput(time.Minute, manifest, "kubectl", "apply", "-n", w.namespace, "-f", "-"); err != nil {
		t.Fatal(err)
	}
	w.kubectl(t, "delete", "job", w.name)
	freshOperator(t)
	w.wait(t)
	time.Sleep(5 * time.Second)
	if left := w.kubectl(t, "get", "jobs", "-o", "name"); strings.TrimSpace(left) != "" {
		t.Errorf("a Job is there again: %s", left)
	}
	if after := w.field(t, "pod/"+w.name+"-0", ".metadata.uid"); before == "" || after != before {
		t.Errorf("the server's pod was %s and is %s", before, after)
	}
	if n := puts(t, "private/harbour", "0.0.1"); n != 1 {
		t.Errorf("the registry has taken %d manifests under the tag, want 1", n)
	}
}

func TestWhatIsBadIsFoundBeforeATraining(t *testing.T) {
	t.Parallel()
	rows := make([]string, 5000)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"messages":[{"role":"user","content":"question %d"},{"role":"assistant","content":"answer %d"}]}`, i, i)
	}
	rows[4710] = `{"messages":[{"role":"user","content":"question"},{"role":"asistant","content":"answer"}]}`
	bad := offer(t, "bad.jsonl", []byte(strings.Join(rows, "\n")))
	for name, tc := range map[string]struct {
		edits  []string
		secret string
		want   string
	}{
		"bad-row":    {edits: []string{"http://files.local:8080/harbour.parquet", bad}, want: `False DataInvalid: The data set cannot be trained on: file "bad.jsonl", row 4711, column "messages[1]": the role "asistant" is not known`},
		"no-file":    {edits: []string{"http://files.local:8080/harbour.parquet", "http://files.local:8080/nothing.parquet"}, want: "False DataNotFound: "},
		"no-rights":  {edits: []string{"http://files.local:8080/harbour.parquet", harbour(t)}, secret: "not the password", want: "False PushRefused: "},
		"no-address": {edits: []string{"http://files.local:8080/harbour.parquet", "http://169.254.169.254/latest/meta-data"}, want: "False DataRefused: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tune(t, name, "", tc.edits...)
			if tc.secret != "" {
				pushSecret(t, w.namespace, "harbour-push", tc.secret)
				w.kubectl(t, "delete", "job", "--all") // it may have begun with the other one
			}
			eventually(t, 3*time.Minute, "Accepted says "+tc.want, func() (string, bool) {
				out := w.condition(t, "Accepted")
				return out, strings.HasPrefix(strings.ToLower(out), strings.ToLower(tc.want))
			})
			if pods := w.kubectl(t, "get", "pods", "-l", "kaito.sh/role=tune", "-o", "name"); strings.TrimSpace(pods) != "" {
				t.Errorf("there is a pod that trains: %s", pods)
			}
			if events := w.kubectl(t, "get", "events", "--field-selector", "reason=SuccessfulCreate", "-o", "jsonpath={.items[*].involvedObject.name}"); slices.Contains(strings.Fields(events), name) {
				t.Errorf("a training's Job has made a pod: %s", events)
			}
		})
	}
}
