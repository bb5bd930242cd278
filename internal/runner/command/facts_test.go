package command_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/hub/hubtest"
	"kaito.sh/kaito/internal/modelfacts/factstest"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

func TestFactsAreToldAsTheTerminationMessage(t *testing.T) {
	t.Parallel()
	weights := factstest.Weights(map[string][]int{"model.embed_tokens.weight": {32, 16}, "lm_head.weight": {32, 16}})
	tiny := hubtest.Repository{Files: map[string]string{"config.json": factstest.Llama}, Large: map[string]string{"model.safetensors": weights}}
	private, gated := tiny, tiny
	private.Private, gated.Gated = true, true
	pickled := hubtest.Repository{Files: map[string]string{"config.json": factstest.Llama}, Large: map[string]string{"pytorch_model.bin": "a pickle"}}
	h := hubtest.Start(t, map[string]hubtest.Repository{"o/Tiny": private, "o/gated": gated, "o/pickled": pickled})
	for name, tc := range map[string]struct {
		repository, token string
		code              int
		reason            ending.Reason
		says              string
	}{
		"a private model with a token":    {repository: "o/Tiny", token: hubtest.Token + "\n"},
		"a private model without one":     {repository: "o/Tiny", code: ending.CodeConfig, reason: ending.WeightsRefused, says: "put a token under the key HF_TOKEN"},
		"terms that nobody accepted":      {repository: "o/gated", token: hubtest.Token, code: ending.CodeConfig, reason: ending.WeightsRefused, says: "is gated: accept its terms"},
		"a token that is not valid":       {repository: "o/Tiny", token: "hf_wrong", code: ending.CodeConfig, reason: ending.WeightsRefused, says: "does not accept the token"},
		"a name that nobody has":          {repository: "o/none", token: hubtest.Token, code: ending.CodeConfig, reason: ending.WeightsNotFound, says: "look at the name"},
		"weights that can run code alone": {repository: "o/pickled", token: hubtest.Token, code: ending.CodeConfig, reason: ending.WeightsUnusable, says: "kaito.sh/allow-pickle"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			log, token := filepath.Join(folder, "log"), filepath.Join(folder, "HF_TOKEN")
			if tc.token != "" {
				if err := os.WriteFile(token, []byte(tc.token), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			code, _, _ := execute(t, "facts", "--endpoint", h.URL, "--repository", tc.repository, "--token-file", token, "--termination-log", log)
			if code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			said, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			if tc.code != 0 {
				var end ending.Ending
				if err := json.Unmarshal(said, &end); err != nil || end.Reason != tc.reason || !strings.Contains(end.Message, tc.says) {
					t.Errorf("it says %s, want %s and %q", said, tc.reason, tc.says)
				}
				return
			}
			var found contract.Found
			if err := json.Unmarshal(said, &found); err != nil {
				t.Fatal(err)
			}
			m, err := catalog.Parse([]byte(found.Model))
			if err != nil || found.Commit != hubtest.Commit || m.Layers != 2 {
				t.Errorf("found %s (%v)", said, err)
			}
		})
	}
}
