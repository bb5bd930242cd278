package llamacpp_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/llamacpp"
	"kaito.sh/kaito/internal/model"
)

func TestCommand(t *testing.T) {
	t.Parallel()
	got := llamacpp.Command(engine.Input{
		Model: model.Model{
			ID: "tiny", HubID: "Owner/Tiny-Chat",
			Forms: map[model.Form]model.Weights{model.FormGGUF: {File: "tiny.gguf"}},
		},
		Plan:    model.Plan{Context: 1000, Slots: 3, Threads: 4, Memory: model.Memory{PromptCache: 64 * model.MiB}},
		Weights: "/weights/model",
		Port:    5001,
	})
	want := engine.Command{
		Name: "llamacpp",
		Args: strings.Fields(`llama-server --model /weights/model/tiny.gguf --alias tiny-chat --host 127.0.0.1 --port 5001
			--ctx-size 3000 --parallel 3 --threads 4 --threads-batch 4 --cache-ram 64 --metrics --no-ui --no-slots --offline`),
		Env:        map[string]string{"GOMP_SPINCOUNT": "0", "OMP_WAIT_POLICY": "passive"},
		URL:        "http://127.0.0.1:5001",
		HealthPath: "/health",
		Files:      []string{"/weights/model/tiny.gguf"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
}

func TestHowTheModelIsTalkedTo(t *testing.T) {
	t.Parallel()
	number := func(f float64) *float64 { return &f }
	for name, tc := range map[string]struct {
		chat model.Chat
		want string
	}{
		"all is known":                        {model.Chat{Template: "chatml", Temperature: number(0.2), TopP: number(0.9)}, "--chat-template chatml --temp 0.2 --top-p 0.9"},
		"a temperature of nothing is a value": {model.Chat{Temperature: number(0)}, "--temp 0"},
		"the files of the model say it":       {model.Chat{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := engine.Input{Model: model.Model{Chat: tc.chat}}
			_, got, found := strings.Cut(strings.Join(llamacpp.Command(in).Args, " "), "--offline")
			if !found || strings.TrimSpace(got) != tc.want {
				t.Errorf("the flags end with %q, want %q", got, tc.want)
			}
		})
	}
}

func TestNamesOfAModel(t *testing.T) {
	t.Parallel()
	m := model.Model{ID: "phi", HubID: "Microsoft/Phi", Aliases: []string{"phi-old", "phi"}}
	if got := engine.ServedID(m); got != "phi" {
		t.Errorf("served id is %q, want phi", got)
	}
	if diff := cmp.Diff([]string{"Microsoft/Phi", "phi-old"}, engine.ServedAliases(m)); diff != "" {
		t.Errorf("aliases (-want +got):\n%s", diff)
	}
}
