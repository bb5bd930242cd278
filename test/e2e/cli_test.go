package e2e

import (
	"strings"
	"testing"
	"time"
)

// The command line, as the kubectl plugin that it also is.
func TestTheCommandLineTalksToAWorkspaceAndExplainsIt(t *testing.T) {
	w := shared(t)
	t.Run("chat prints the answer and nothing else", func(t *testing.T) {
		out, err := cluster.command(2*time.Minute, "kubectl", "kaito", "chat", w.name, "-n", w.namespace,
			"--temperature", "0", "--max-tokens", "20", "-m", "What is the capital of France?")
		if err != nil || strings.TrimSpace(out) != "The capital of France is Paris." {
			t.Errorf("chat says %q, %v", out, err)
		}
	})
	t.Run("a question on standard input is one question", func(t *testing.T) {
		out, err := cluster.commandWithInput(2*time.Minute, "What is the capital of France?\n", "kubectl", "kaito", "chat", w.name, "-n", w.namespace,
			"--temperature", "0", "--max-tokens", "20")
		if err != nil || strings.TrimSpace(out) != "The capital of France is Paris." {
			t.Errorf("chat says %q, %v", out, err)
		}
	})
	t.Run("get shows the columns of kubectl", func(t *testing.T) {
		out, err := cluster.command(time.Minute, "kubectl", "kaito", "get", "-n", w.namespace, w.name)
		if err != nil || !strings.HasPrefix(out, "NAME") || strings.Count(out, "True") != 3 {
			t.Errorf("get says %q, %v", out, err)
		}
	})
	t.Run("explain ends with what to do", func(t *testing.T) {
		out, err := cluster.command(time.Minute, "kubectl", "kaito", "explain", "-n", w.namespace, w.name)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"WorkspaceReady: True", "engine     llamacpp", "ready endpoints: ", "What to do: Ask it: "} {
			if !strings.Contains(out, want) {
				t.Errorf("explain does not say %q:\n%s", want, out)
			}
		}
	})
	t.Run("a name that is not there gets the near one", func(t *testing.T) {
		out, err := cluster.command(time.Minute, "kubectl", "kaito", "explain", "-n", w.namespace, w.name+"x")
		if err == nil || !strings.Contains(out, w.name) {
			t.Errorf("explain says %q, %v", out, err)
		}
	})
	t.Run("the status says how long the start took", func(t *testing.T) {
		eventually(t, time.Minute, "status.startup has the load of the model and the first answer", func() (string, bool) {
			out := w.field(t, "workspace/"+w.name, ".status.startup")
			return out, strings.Contains(out, `"loadSeconds":`) && strings.Contains(out, `"firstAnswerSeconds":`)
		})
	})
}
