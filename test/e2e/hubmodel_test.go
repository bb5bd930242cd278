package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kaito.sh/kaito/internal/hub/hubtest"
)

// developmentGGUF are the bytes of the development model, as the build of the images keeps them.
func developmentGGUF(t *testing.T) string {
	t.Helper()
	home, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(home, "kaito/images/models", model, "download", "*.gguf"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the images were built without the model: %v, %v", found, err)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A model that no catalog has and that strangers do not see: a Job reads what it is with the user's token,
// the runner fetches that commit, and it answers.
func TestAGatedModelOfTheHubAnswers(t *testing.T) {
	host, _, _ := strings.Cut(strings.TrimPrefix(where(t).Files, "http://"), ":")
	hub := hubtest.StartAt(t, host, map[string]hubtest.Repository{"somebody/Tiny-Chat": {
		Files: map[string]string{"README.md": "---\nlicense: apache-2.0\n---\n"},
		Large: map[string]string{"tiny-chat.gguf": developmentGGUF(t)}, Private: true,
	}})
	if err := cluster.helm("--set", "hub.endpoint="+hub.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.helm(); err != nil {
			t.Error(err)
		}
	})
	w := workspace{space(t, "hub"), "gated"}
	apply := func(options string) {
		t.Helper()
		text := manifest(w.name, "inference: {preset: {name: somebody/Tiny-Chat"+options+"}}")
		if _, err := cluster.commandWithInput(time.Minute, text, "kubectl", "apply", "-n", w.namespace, "-f", "-"); err != nil {
			t.Fatal(err)
		}
	}
	apply("")
	eventually(t, time.Minute, "the condition says that strangers do not see the model", func() (string, bool) {
		out := w.condition(t, "Accepted")
		return out, strings.HasPrefix(out, "False ModelGated: ") && strings.Contains(out, "modelAccessSecret")
	})
	kubectl(t, "create", "secret", "generic", "-n", w.namespace, "hub", "--from-literal=HF_TOKEN="+hubtest.Token)
	apply(", presetOptions: {modelAccessSecret: hub}")
	w.wait(t)
	w.chats(t)
	if got := w.field(t, "workspace/"+w.name, ".status.plan.modelRevision"); got != hubtest.Commit {
		t.Errorf("the plan is at commit %q", got)
	}
	for _, asked := range hub.Asked() {
		if strings.HasPrefix(asked.Agent, "kaito-operator") && asked.Authorization != "" {
			t.Errorf("the operator has the token: %+v", asked)
		}
	}
}
