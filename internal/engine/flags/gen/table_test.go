package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table that is embedded is what the program says; `go generate` writes it.
func TestTheTableIsThatOfTheHelp(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "table.json")
	if err := run(filepath.Join("..", "testdata", "llama-server-0.7.0-help.txt"), out, "0.7.0"); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "llama-server-0.7.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run go generate ./internal/engine/flags (-want +got):\n%s", diff)
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ help, want string }{
		"a switch":                  {"--metrics                               enable", `{"name":"metrics","kind":"switch"}`},
		"a switch that can be off":  {"-kvo,  --kv-offload, -nkvo, --no-kv-offload", `{"name":"kv-offload","kind":"switch","off":"no-kv-offload"}`},
		"a number":                  {"-t,    --threads N                      number", `{"name":"threads","kind":"float"}`},
		"a number or a word":        {"-ngl,  --gpu-layers N    layers,\n       either a number, 'auto' or 'all'", `{"name":"gpu-layers","kind":"text"}`},
		"a choice":                  {"--pooling {none,mean}                   type", `{"name":"pooling","kind":"text","choices":["none","mean"]}`},
		"what is gone":              {"--draft N                               the argument has been removed. use x", ""},
		"two values":                {"--range START END", `{"name":"range","kind":"text","many":"list"}`},
		"a value on a line of ours": {"--spec-draft-hf, -hfd, --hf-repo-draft <user>/<model>[:quant]", `{"name":"spec-draft-hf","kind":"text","also":["hf-repo-draft"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := encode(table(tc.help, "1"))
			if err != nil {
				t.Fatal(err)
			}
			want := "{\n\"engine\": \"llamacpp\",\n\"version\": \"1\",\n\"source\": \"llama-server --help, kept in testdata, by internal/engine/flags/gen\",\n\"flags\": [\n"
			if tc.want != "" {
				want += tc.want + "\n"
			}
			if diff := cmp.Diff(want+"]\n}\n", string(data)); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}
