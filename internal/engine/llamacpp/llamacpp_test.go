package llamacpp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/engine/llamacpp"
	"kaito.sh/kaito/internal/model"
)

func TestCommand(t *testing.T) {
	t.Parallel()
	got := command(t, engine.Input{
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
		Args: strings.Fields(`llama-server --alias tiny-chat --cache-ram 64 --ctx-size 3000 --host 127.0.0.1 --metrics
			--model /weights/model/tiny.gguf --offline --parallel 3 --port 5001 --no-slots --threads 4 --threads-batch 4 --no-ui`),
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
		chat     model.Chat
		settings string
		want     string
	}{
		"all is known":                        {model.Chat{Template: "chatml", Temperature: number(0.2), TopP: number(0.9)}, "", "--chat-template chatml --temp 0.2 --top-p 0.9"},
		"a temperature of nothing is a value": {model.Chat{Temperature: number(0)}, "", "--temp 0"},
		"the files of the model say it":       {model.Chat{}, "", ""},
		"the user knows better":               {model.Chat{Template: "chatml", Temperature: number(0.2)}, "llamacpp: {temp: 0.75}", "--chat-template chatml --temp 0.75"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings, err := engine.ParseSettings([]byte(tc.settings))
			if err != nil {
				t.Fatal(err)
			}
			_, given, err := flags.LlamaServer().Read(command(t, engine.Input{Model: model.Model{ID: "m", HubID: "o/m", Chat: tc.chat}, Settings: settings, Weights: "/w"}).Args[1:])
			if err != nil {
				t.Fatal(err)
			}
			given = slices.DeleteFunc(given, func(a flags.Argument) bool {
				return !slices.Contains([]string{"chat-template", "temp", "top-p"}, a.Flag.Name)
			})
			if diff := cmp.Diff(tc.want, strings.Join(flags.Line(given), " ")); diff != "" {
				t.Errorf("flags (-want +got):\n%s", diff)
			}
		})
	}
}

// Every flag that is written must be one that the program has.
func TestTheProgramTakesTheCommand(t *testing.T) {
	t.Parallel()
	settings, err := engine.ParseSettings([]byte("llamacpp: {flash-attn: on, jinja: false, temp: 0.5, tensor-split: [1, 2]}"))
	if err != nil {
		t.Fatal(err)
	}
	args := command(t, engine.Input{Settings: settings, Model: model.Model{ID: "tiny", HubID: "Owner/Tiny"}, Weights: "/weights/model"}).Args
	if _, _, err := flags.LlamaServer().Read(args[1:]); err != nil {
		t.Errorf("%v in %q", err, args)
	}
	if line := strings.Join(args, " "); !strings.Contains(line, "--flash-attn on") || !strings.Contains(line, "--no-jinja") || !strings.Contains(line, "--tensor-split 1,2") {
		t.Errorf("%q does not hold what the user set", line)
	}
}

func command(t *testing.T, in engine.Input) engine.Command {
	t.Helper()
	c, err := llamacpp.Command(in)
	if err != nil {
		t.Fatal(err)
	}
	return c
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

func TestAdaptersAreLoadedIdle(t *testing.T) {
	t.Parallel()
	settings, err := engine.ParseSettings([]byte("llamacpp: {cache-ram: 512}"))
	if err != nil {
		t.Fatal(err)
	}
	got := command(t, engine.Input{
		Model: model.Model{ID: "m", HubID: "o/m", Forms: map[model.Form]model.Weights{model.FormGGUF: {File: "m.gguf"}}}, Weights: "/w", Settings: settings,
		Adapters: []engine.Adapter{{Name: "b", Path: "/adapters/b.gguf"}, {Name: "a", Path: "/adapters/a.gguf"}},
	})
	line := strings.Join(got.Args, " ")
	for _, want := range []string{"--lora-scaled /adapters/b.gguf:0,/adapters/a.gguf:0", "--cache-ram 0"} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
	if diff := cmp.Diff([]string{"/w/m.gguf", "/adapters/b.gguf", "/adapters/a.gguf"}, got.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, _, err := flags.LlamaServer().Read(got.Args[1:]); err != nil {
		t.Error(err)
	}
}
