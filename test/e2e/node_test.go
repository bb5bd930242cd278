package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cloud runs hack/cloud.sh for the tests' own cluster.
func (e *env) cloud(verb string) (string, error) {
	return e.command(time.Minute, "env", "CLOUD_CLUSTER="+*name, filepath.Join(e.root, "hack/cloud.sh"), verb)
}

// counted is what the emulated cloud was asked for.
type counted struct{ Puts, Deletes int }

func clouds(t *testing.T) counted {
	t.Helper()
	out, err := cluster.cloud("counts")
	var said struct{ Requests map[string]int }
	if err == nil {
		err = json.Unmarshal([]byte(out), &said)
	}
	if err != nil {
		t.Fatalf("ask the cloud for its counts: %v\n%s", err, out)
	}
	return counted{Puts: said.Requests["put"], Deletes: said.Requests["delete"]}
}

// left is what a Workspace with nodes of its own has left behind: claims, nodes, pools.
func left(t *testing.T, namespace string) string {
	t.Helper()
	selector := "kaito.sh/workspacenamespace=" + namespace
	out := kubectl(t, "get", "nodeclaims", "-l", selector, "-o", "name") + kubectl(t, "get", "nodes", "-l", selector, "-o", "name")
	pools, err := cluster.cloud("pools")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(pools, "\n") {
		if strings.Contains(line, namespace) {
			out += line
		}
	}
	return strings.TrimSpace(out)
}

// A Workspace that names an instance type: claim, pool, a new node, an answer; and nothing
// of it afterwards.
func TestANodeComesAndGoesWithItsWorkspace(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(cluster.root, "examples/inference/smollm2-node.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w := workspace{space(t, "on-demand"), "smollm2-node"}
	before := clouds(t)
	if _, err := cluster.commandWithInput(time.Minute, string(text), "kubectl", "apply", "-n", w.namespace, "-f", "-"); err != nil {
		t.Fatal(err)
	}
	w.reaches(t, 4*time.Minute, "ResourceReady", "True ")
	w.wait(t)
	w.chats(t)
	node := w.field(t, "pod/smollm2-node-0", ".spec.nodeName")
	if out := kubectl(t, "get", "node", node, "--show-labels"); !strings.HasPrefix(node, "aks-") || !strings.Contains(out, "node.kubernetes.io/instance-type=Standard_D2s_v5") {
		t.Errorf("the model runs on node %q:\n%s", node, out)
	}
	if out := w.kubectl(t, "get", "workspace.v1alpha1.kaito.sh", w.name); strings.Count(out, "True") != 3 || !strings.Contains(out, "Standard_D2s_v5") {
		t.Error(out)
	}
	out, err := cluster.command(time.Minute, filepath.Join(cluster.bin, "kaito"), "nodes", "-n", w.namespace)
	if err != nil || !strings.Contains(out, node) || !strings.Contains(out, w.name) {
		t.Errorf("kaito nodes: %v\n%s", err, out)
	}
	if after := clouds(t); after.Puts != before.Puts+1 {
		t.Errorf("%d pools were asked for, want one", after.Puts-before.Puts)
	}
	w.kubectl(t, "delete", "workspace", w.name, "--timeout=4m")
	eventually(t, time.Minute, "no claim, no node, no pool is left", func() (string, bool) {
		out := left(t, w.namespace)
		return out, out == ""
	})
	if out := kubectl(t, "get", "node", node, "--ignore-not-found", "-o", "name"); strings.TrimSpace(out) != "" {
		t.Errorf("there still is %s", out)
	}
}

// What is bad costs nothing: no pool is asked for.
func TestABadDataSetAsksForNoNode(t *testing.T) {
	bad := offer(t, "bad-roles.jsonl", []byte(`{"messages":[{"role":"user","content":"q"},{"role":"asistant","content":"a"}]}`))
	for name, tc := range map[string]struct{ data, password, want string }{
		"bad-data":  {bad, password(t), "False DataInvalid: "},
		"no-rights": {harbour(t), "not the password", "False PushRefused: "},
	} {
		t.Run(name, func(t *testing.T) {
			w, before := workspace{space(t, name), name}, clouds(t)
			pushSecret(t, w.namespace, "harbour-push", tc.password)
			text, err := os.ReadFile(filepath.Join(cluster.root, "examples/fine-tuning/smollm2-qlora.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			manifest := strings.NewReplacer("name: workspace-tuning-phi-3", "name: "+name, "http://files.local:8080/harbour.parquet", tc.data).Replace(string(text))
			if !strings.Contains(manifest, `instanceType: "Standard_`) {
				t.Fatal("the example names no instance type: this test would show nothing")
			}
			if _, err := cluster.commandWithInput(time.Minute, manifest, "kubectl", "apply", "-n", w.namespace, "-f", "-"); err != nil {
				t.Fatal(err)
			}
			eventually(t, 3*time.Minute, "Accepted says "+tc.want, func() (string, bool) {
				out := w.condition(t, "Accepted")
				return out, strings.HasPrefix(out, tc.want)
			})
			if after := clouds(t); after.Puts != before.Puts {
				t.Errorf("the cloud was asked for %d pools", after.Puts-before.Puts)
			}
			if out := left(t, w.namespace); out != "" {
				t.Errorf("there is %s", out)
			}
		})
	}
}
