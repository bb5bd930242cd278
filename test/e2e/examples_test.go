package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// example applies a file of examples/inference, as it is, in a namespace of its own.
func example(t *testing.T, file, name string) workspace {
	t.Helper()
	w := workspace{space(t, name), name}
	w.kubectl(t, "apply", "-f", filepath.Join(cluster.root, "examples/inference", file))
	return w
}

// served is one model of GET /v1/models.
type served struct {
	ID      string
	Context int `json:"max_model_len"`
}

func (w workspace) models(t *testing.T) []served {
	t.Helper()
	got, err := get(w.url(t, "/v1/models"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Data []served }
	if err := json.Unmarshal([]byte(got.body), &list); err != nil || got.status != http.StatusOK {
		t.Fatalf("/v1/models answers %d %q", got.status, got.body)
	}
	return list.Data
}

func TestNoExampleIsForgotten(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(cluster.root, "examples/inference/*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := filepath.Glob(filepath.Join(cluster.root, "test/e2e/*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, test := range tests {
		text, err := os.ReadFile(test)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	for _, file := range files {
		if !strings.Contains(code.String(), filepath.Base(file)+`"`) {
			t.Errorf("no test runs %s", filepath.Base(file))
		}
	}
}

func TestATemplateRunsAServerOfTheUsersOwn(t *testing.T) {
	w := example(t, "template.yaml", "own-server")
	w.wait(t)
	if got := w.models(t); len(got) != 1 || got[0].ID != "mine" {
		t.Errorf("models are %v, want the alias of the template", got)
	}
	got, err := post(w.url(t, "/v1/completions"), `{"prompt":"One, two,","max_tokens":4}`)
	if err != nil || got.status != http.StatusOK || !strings.Contains(got.body, `"text"`) {
		t.Errorf("a completion is %d %q, %v", got.status, got.body, err)
	}
	if got, err := post(w.url(t, "/chat"), question); err != nil || got.status != http.StatusNotFound {
		t.Errorf("/chat is %d %q, %v; want the server as it is, which has none", got.status, got.body, err)
	}
}

func TestSettingsOfTheUsersOwn(t *testing.T) {
	w := example(t, "config.yaml", "tuned-server")
	w.wait(t)
	if got := w.models(t); len(got) != 1 || got[0].Context != 2048 {
		t.Errorf("models are %v, want the context of the ConfigMap", got)
	}
	long := `{"model":"` + model + `","max_tokens":1,"messages":[{"role":"user","content":"` + strings.Repeat("word ", 2500) + `"}]}`
	if got, err := post(w.url(t, "/v1/chat/completions"), long); err != nil || got.status != http.StatusBadRequest || !strings.Contains(got.body, "2048") {
		t.Errorf("a prompt longer than the context is answered %d %q, %v", got.status, got.body, err)
	}

	t.Run("an edit that cannot be used is told, and the model answers as before", func(t *testing.T) {
		w.kubectl(t, "patch", "configmap", "server-settings", "-p", `{"data":{"inference_config.yaml":"llamacpp:\n  ctx-sise: 4096\n"}}`)
		eventually(t, time.Minute, "the condition names the nearest flag", func() (string, bool) {
			out := w.condition(t, "Accepted")
			return out, strings.HasPrefix(out, "False ") && strings.Contains(out, "line 2") && strings.Contains(out, "ctx-size")
		})
		w.chats(t)
	})
	t.Run("an edit that can be used restarts the pod with it", func(t *testing.T) {
		before := w.podUID(t)
		w.kubectl(t, "patch", "configmap", "server-settings", "-p", `{"data":{"inference_config.yaml":"llamacpp:\n  ctx-size: 1024\n  parallel: 1\n"}}`)
		w.answers(t, before)
		if got := w.models(t); len(got) != 1 || got[0].Context != 1024 {
			t.Errorf("models are %v, want the new context", got)
		}
	})
}

func TestALoadBalancerOpensPort80Alone(t *testing.T) {
	w := example(t, "load-balancer.yaml", "public")
	eventually(t, time.Minute, "the Service is a load balancer", func() (string, bool) {
		out := w.field(t, "service/public", ".spec.type} {.spec.ports[*].port")
		return out, out == "LoadBalancer 80"
	})
	w.wait(t)
	w.chats(t)
	t.Run("without the annotation it is one no more", func(t *testing.T) {
		w.kubectl(t, "annotate", "workspace", "public", "kaito.sh/enablelb-")
		eventually(t, time.Minute, "the Service is for the cluster alone", func() (string, bool) {
			out := w.field(t, "service/public", ".spec.type} {.spec.ports[*].port")
			return out, out == "ClusterIP 80 29500"
		})
		w.chats(t)
	})
}
