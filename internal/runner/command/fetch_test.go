package command_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kaito.sh/kaito/internal/hub/hubtest"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/ending"
)

func TestServeFetchesWhatTheEngineThenFinds(t *testing.T) {
	t.Parallel()
	hub := hubtest.Start(t, map[string]hubtest.Repository{"kaito/tiny": {
		Private: true, Files: map[string]string{"config.json": "{}"}, Large: map[string]string{"model.safetensors": "weights"},
	}})
	for name, tc := range map[string]struct {
		token  string
		code   int
		reason ending.Reason
		phase  string
		says   string
	}{
		// The engine ends with 7 if it finds the weights.
		"with the token":         {hubtest.Token + "\n", 7, ending.EngineExited, "starting", "exit code 7"},
		"with no token":          {"", ending.CodeConfig, ending.WeightsRefused, "fetching", "presetOptions.modelAccessSecret"},
		"with a token that died": {"hf_dead", ending.CodeConfig, ending.WeightsRefused, "fetching", "does not accept the token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			token, last, config := filepath.Join(folder, "HF_TOKEN"), filepath.Join(folder, "end.json"), filepath.Join(folder, "runner.json")
			if tc.token != "" {
				if err := os.WriteFile(token, []byte(tc.token), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			dir := filepath.Join(folder, "weights", "model")
			text, err := json.Marshal(contract.Serve{
				APIVersion: contract.Version, Workspace: "ws", Model: contract.Model{ID: "tiny", Context: 10},
				Engine: contract.Engine{
					Name: "sh", Command: []string{"/bin/sh", "-c", fmt.Sprintf("grep -q weights %s/model.safetensors && exit 7", dir)},
					URL: "http://127.0.0.1:1", HealthPath: "/health", Files: []string{filepath.Join(dir, "config.json")},
				},
				Weights: &contract.Weights{Dir: dir, Hub: &contract.WeightsHub{
					Endpoint: hub.URL, Repository: "kaito/tiny", Revision: "main", TokenFile: token,
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(config, text, 0o644); err != nil {
				t.Fatal(err)
			}
			code, _, errs := execute(t, "serve", "--config", config, "--listen", "127.0.0.1:0", "--termination-log", last)
			if code != tc.code {
				t.Errorf("exit code %d, want %d\n%s", code, tc.code, errs)
			}
			raw, err := os.ReadFile(last)
			if err != nil {
				t.Fatal(err)
			}
			var end ending.Ending
			if err := json.Unmarshal(raw, &end); err != nil {
				t.Fatal(err)
			}
			if end.Reason != tc.reason || end.Phase != tc.phase || !strings.Contains(end.Message, tc.says) {
				t.Errorf("end: %s", raw)
			}
			if strings.Contains(errs, "hf_") || strings.Contains(string(raw), "hf_") {
				t.Errorf("the token is shown: %s", errs)
			}
		})
	}
}
