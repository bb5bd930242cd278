package hub_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/hub/hubtest"
)

// refusal is a file that the client cannot have.
type refusal struct {
	Repository string `json:"repository"`
	Revision   string `json:"revision"`
	Token      string `json:"token"`
	File       string `json:"file"`
}

// understood is what the real client made of a hub.
type understood struct {
	Commit   string            `json:"commit"`
	Files    map[string]string `json:"files"`
	Tree     map[string]string `json:"tree"`
	Refusals map[string]string `json:"refusals"`
}

// client asks the hub with huggingface_hub.
func client(t *testing.T, h *hubtest.Hub, refusals map[string]refusal) understood {
	t.Helper()
	if testing.Short() {
		t.Skip("installs huggingface_hub from PyPI, which takes a while the first time")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 on this machine to run the real client with")
	}
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	install := exec.Command(filepath.Join(root, "hack", "python.sh"), "internal/runner/fetch/hub/testdata/client/requirements.txt")
	install.Stderr = t.Output()
	venv, err := install.Output()
	if err != nil {
		t.Fatalf("install the real client: %v", err)
	}
	asked, err := json.Marshal(map[string]any{"repository": "kaito/tiny", "token": hubtest.Token, "refusals": refusals})
	if err != nil {
		t.Fatal(err)
	}
	python := exec.Command(filepath.Join(strings.TrimSpace(string(venv)), "bin", "python"), "testdata/client/client.py")
	python.Stdin, python.Stderr = bytes.NewReader(asked), t.Output()
	python.Env = append(os.Environ(), "HF_ENDPOINT="+h.URL, "HF_HOME="+t.TempDir(), "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_XET=1",
		"HF_HUB_DISABLE_PROGRESS_BARS=1", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	out, err := python.Output()
	if err != nil {
		t.Fatalf("the real client: %v", err)
	}
	var got understood
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return got
}

// TestTheRealClientTakesOurHubForReal: our hub is only worth something as a judge of
// our code when the client that everybody uses understands it in the same way.
func TestTheRealClientTakesOurHubForReal(t *testing.T) {
	t.Parallel()
	gated := tiny()
	gated.Gated = true
	private := tiny()
	private.Private = true
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": tiny(), "kaito/gated": gated, "kaito/private": private})
	h.Page = 3
	h.Fail("vocab.json", hubtest.Fault{Status: 429, RateLimit: `"resolvers";r=0;t=1`})
	got := client(t, h, map[string]refusal{
		"a repository that does not exist": {"kaito/none", "main", hubtest.Token, "config.json"},
		"one for a stranger":               {"kaito/private", "main", "", "config.json"},
		"a revision that does not exist":   {"kaito/tiny", "v9", "", "config.json"},
		"a file that does not exist":       {"kaito/tiny", "main", "", "none.json"},
		"a gated one":                      {"kaito/gated", "main", hubtest.Token, "config.json"},
		"a gated one for a stranger":       {"kaito/gated", "main", "", "model-00001-of-00002.safetensors"},
		"nothing":                          {"kaito/private", "main", hubtest.Token, "config.json"},
	})
	all := maps.Clone(tiny().Files)
	maps.Copy(all, tiny().Large)
	want := understood{Commit: hubtest.Commit, Files: map[string]string{}, Refusals: map[string]string{
		"a repository that does not exist": "RepositoryNotFoundError",
		"one for a stranger":               "RepositoryNotFoundError",
		"a revision that does not exist":   "RevisionNotFoundError",
		"a file that does not exist":       "RemoteEntryNotFoundError",
		"a gated one":                      "GatedRepoError",
		"a gated one for a stranger":       "GatedRepoError",
		"nothing":                          "",
	}}
	for path, text := range all {
		sum := sha256.Sum256([]byte(text))
		want.Files[path] = hex.EncodeToString(sum[:])
	}
	tree := got.Tree
	got.Tree = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the real client (-want +got):\n%s", diff)
	}
	// What the client takes for digests is what ours proves: a fetch with them succeeds.
	if len(tree) != len(all) {
		t.Errorf("the client lists %d files, there are %d", len(tree), len(all))
	}
	for path := range tiny().Large {
		if tree[path] != want.Files[path] {
			t.Errorf("the client takes %s for the digest of %s", tree[path], path)
		}
	}
}
