package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kaito.sh/kaito/internal/gguf/gguftest"
)

// A stranger has a model that nobody else knows, a tiny Llama of random numbers, and follows
// what the command line says: from a file to an answer, without a line of code.
func TestAModelOfOnesOwnIsImportedPlannedAndServed(t *testing.T) {
	const id = "tiny-random"
	dir := t.TempDir()
	weights, facts := filepath.Join(dir, "tiny.gguf"), filepath.Join(dir, id+".yaml")
	if err := os.WriteFile(weights, gguftest.Llama(1), 0o644); err != nil {
		t.Fatal(err)
	}
	kaito := func(args ...string) string {
		t.Helper()
		out, err := cluster.command(2*time.Minute, filepath.Join(cluster.bin, "kaito"), args...)
		if err != nil {
			t.Fatalf("kaito %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	kaito("model", "import", weights, "--id", id, "-o", facts)
	if out := kaito("plan", id, "--catalog", facts, "--instance-types", "Standard_D4s_v5"); !strings.Contains(out, "Model "+id) {
		t.Errorf("the plan is not of the model:\n%s", out)
	}
	image := filepath.Join(dir, id+".oci")
	kaito("model", "package", weights, "--name", id, "--out", image)
	kaito("model", "push", image, where(t).Registry+"/kaito/models/"+id+":gguf", "--insecure")

	w := workspace{space(t, "own"), "own"}
	w.kubectl(t, "create", "configmap", id, "--from-file="+facts)
	w.kubectl(t, "label", "configmap", id, "kaito.sh/catalog=true")
	text := manifest(w.name, "inference: {preset: {name: "+id+"}}")
	if _, err := cluster.commandWithInput(time.Minute, text, "kubectl", "apply", "-n", w.namespace, "-f", "-"); err != nil {
		t.Fatal(err)
	}
	w.wait(t)
	w.chats(t)
	if got := w.field(t, "workspace/"+w.name, ".status.plan.model"); got != id {
		t.Errorf("status.plan is of the model %q, want %q", got, id)
	}
}
