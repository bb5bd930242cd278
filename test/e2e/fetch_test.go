package e2e

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kaito.sh/kaito/internal/testkit"
)

// oldNode brings a node into the cluster that exists on paper only: one whose kubelet
// cannot mount images. No pod is scheduled on it. Nobody but the test says that it lives.
func oldNode(t *testing.T, set kubernetes.Interface, label string) {
	t.Helper()
	key, value, _ := strings.Cut(label, "=")
	node := testkit.Node("old-"+value, testkit.NodeLabel(key, value), testkit.Taint("kaito.sh/paper", "yes"), testkit.Versions("v1.30.4", "containerd://1.7.20"))
	nodes := set.CoreV1().Nodes()
	if _, err := nodes.Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var alive sync.WaitGroup
	beat := func() error {
		for i := range node.Status.Conditions {
			node.Status.Conditions[i].LastHeartbeatTime = metav1.Now()
		}
		patch, err := json.Marshal(map[string]any{"status": node.Status})
		if err != nil {
			return err
		}
		_, err = nodes.PatchStatus(ctx, node.Name, patch)
		return err
	}
	if err := beat(); err != nil {
		t.Fatal(err)
	}
	alive.Go(func() {
		for tick := time.NewTicker(5 * time.Second); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				if err := beat(); err != nil && ctx.Err() == nil {
					t.Errorf("node %q: %v", node.Name, err)
				}
			}
		}
	})
	t.Cleanup(func() {
		stop()
		alive.Wait()
		if err := nodes.Delete(context.WithoutCancel(ctx), node.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// privateModel copies the model image to where the registry asks for a password, and
// makes a Secret that knows it.
func privateModel(t *testing.T, namespace, secret string) (reference string) {
	t.Helper()
	password, err := os.ReadFile("/var/lib/kaito-local/" + *name + "/registry/password")
	if err != nil {
		t.Fatal(err)
	}
	registry := where(t).Registry
	words := strings.TrimSpace(string(password))
	if _, err := cluster.command(2*time.Minute, "skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", "--dest-creds", "kaito:"+words,
		"docker://"+registry+"/kaito/models/"+model+":gguf", "docker://"+registry+"/private/"+model+":gguf"); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "secret", "docker-registry", "-n", namespace, secret, "--docker-server=registry.local:5000",
		"--docker-username=kaito", "--docker-password="+words)
	return "registry.local:5000/private/" + model + ":gguf"
}

// A model image of one's own, behind a password, once mounted by the kubelet and once
// fetched by the runner, because a node that matches is too old to mount it.
func TestPrivateWeightsAreMountedOrFetched(t *testing.T) {
	set := clients(t)
	namespace := space(t, "weights")
	image := privateModel(t, namespace, "pull")
	options := func(secrets string) string {
		return "inference: {preset: {name: " + model + ", presetOptions: {image: '" + image + "', imagePullSecrets: [" + secrets + "]}}}"
	}
	start := func(t *testing.T, name, stanzas, label string) workspace {
		t.Helper()
		text := strings.Replace(manifest(name, stanzas), "apps: smollm2", strings.Replace(label, "=", ": ", 1), 1)
		if _, err := cluster.commandWithInput(time.Minute, text, "kubectl", "apply", "-n", namespace, "-f", "-"); err != nil {
			t.Fatal(err)
		}
		w := workspace{namespace, name}
		t.Cleanup(func() { w.kubectl(t, "delete", "workspace", name) })
		return w
	}
	volumes := func(t *testing.T, w workspace) string {
		return w.field(t, "pod/"+w.name+"-0", ".spec.volumes")
	}

	t.Run("mounted", func(t *testing.T) {
		w := start(t, "mounted", options("pull"), nodeLabel)
		w.wait(t)
		if got := volumes(t, w); !strings.Contains(got, `"reference":"`+image+`"`) {
			t.Errorf("the weights are no image volume: %s", got)
		}
		w.chats(t)
	})
	const label = "apps=mixed"
	kubectl(t, "label", "node", "node2", "--overwrite", label)
	t.Cleanup(func() {
		if err := cluster.labelNodes(); err != nil {
			t.Error(err)
		}
	})
	oldNode(t, set, label)
	t.Run("fetched", func(t *testing.T) {
		w := start(t, "fetched", options("pull"), label)
		w.wait(t)
		if got := volumes(t, w); strings.Contains(got, `"reference"`) {
			t.Errorf("the weights are an image volume: %s", got)
		}
		if got := w.field(t, "pod/fetched-0", ".spec.nodeName"); got != "node2" {
			t.Errorf("the pod runs on %q", got)
		}
		w.chats(t)
	})
	t.Run("not without the Secret", func(t *testing.T) {
		w := start(t, "locked", options(""), label)
		eventually(t, 2*time.Minute, "the condition names the registry's answer", func() (string, bool) {
			out := w.condition(t, "InferenceReady")
			return out, strings.HasPrefix(out, "False WeightsRefused: ") && strings.Contains(out, image) && strings.Contains(out, "in presetOptions.imagePullSecrets")
		})
	})
}
