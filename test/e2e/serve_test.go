package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const question = `{"prompt":"What is the capital of France?"}`

func TestAWorkspaceBecomesAServiceThatAnswers(t *testing.T) {
	w := shared(t)
	t.Run("kubectl prints the columns that were promised", func(t *testing.T) {
		lines := strings.Split(strings.TrimSpace(kubectl(t, "get", "workspace", w.name)), "\n")
		if diff := cmp.Diff([]string{"NAME", "INSTANCE", "RESOURCEREADY", "INFERENCEREADY", "WORKSPACEREADY", "AGE"}, strings.Fields(lines[0])); diff != "" {
			t.Errorf("columns (-want +got):\n%s", diff)
		}
		if got := strings.Count(lines[1], "True"); got != 3 {
			t.Errorf("%d columns are True, want 3: %s", got, lines[1])
		}
	})
	t.Run("the Service has the two ports", func(t *testing.T) {
		if out := kubectl(t, "get", "svc", "smollm2"); !strings.Contains(out, "80/TCP,29500/TCP") {
			t.Errorf("ports are not 80/TCP,29500/TCP:\n%s", out)
		}
	})
	ip := strings.TrimPrefix(w.url(t, ""), "http://")
	t.Run("the host gets an answer through the ClusterIP", func(t *testing.T) {
		out, err := cluster.command(2*time.Minute, "curl", "-sS", "-X", "POST", "http://"+ip+"/chat", "-H", "Content-Type: application/json", "-d", question)
		wantParis(t, out, err)
	})
	for where, host := range map[string]string{"the ClusterIP": ip, "the Service's name": "smollm2", "the Service's full name": "smollm2.default.svc.cluster.local"} {
		t.Run("a pod gets an answer through "+where, func(t *testing.T) {
			out, err := cluster.command(3*time.Minute, "kubectl", "run", "curl", "--rm", "-i", "--quiet", "--restart=Never",
				"--image=registry.local:5000/kaito/toolbox:dev", "--", "curl", "-sS", "-X", "POST", "http://"+host+"/chat",
				"-H", "accept: application/json", "-H", "Content-Type: application/json", "-d", question)
			wantParis(t, out, err)
		})
	}
}

// wantParis reads an answer of /chat and looks for the one sentence that makes it sensible:
// the name of the city alone also stands in nonsense.
func wantParis(t *testing.T, out string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Result string }
	// kubectl run may say a word before the answer, or stream it twice when the pod was quicker than its attach.
	if err := json.NewDecoder(strings.NewReader(out[strings.Index(out+"{", "{"):])).Decode(&answer); err != nil {
		t.Fatalf("%q is no answer of /chat: %v", out, err)
	}
	if !strings.Contains(answer.Result, "capital of France is Paris") {
		t.Errorf("the answer does not say that the capital of France is Paris: %q", answer.Result)
	}
}
