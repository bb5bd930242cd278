package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The official client says what an API is compatible with better than we could.
func TestTheOfficialOpenAIClient(t *testing.T) {
	const folder = "test/e2e/openai"
	out, err := cluster.command(10*time.Minute, "bash", "hack/python.sh", filepath.Join(folder, "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	python := filepath.Join(lines[len(lines)-1], "bin", "python")
	out, err = cluster.command(5*time.Minute, "env", "KAITO_URL="+shared(t).url(t, "/v1"), python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5", folder)
	t.Log(out)
	if err != nil {
		t.Fatal("the client's tests have failed; see above")
	}
}
