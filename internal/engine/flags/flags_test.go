package flags_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/engine/flags"
)

func TestTables(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		table flags.Table
		least int
	}{
		"vllm": {flags.VLLM(), 300}, "llamacpp": {flags.LlamaServer(), 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.table.Engine != name || tc.table.Version == "" || tc.table.Source == "" || len(tc.table.Flags) < tc.least {
				t.Fatalf("engine %q, version %q, source %q, %d flags", tc.table.Engine, tc.table.Version, tc.table.Source, len(tc.table.Flags))
			}
			seen := map[string]bool{}
			for _, f := range tc.table.Flags {
				for _, n := range append([]string{f.Name}, f.Also...) {
					if seen[n] {
						t.Errorf("two flags are called %q", n)
					}
					seen[n] = true
				}
				if f.Kind == flags.Switch && (len(f.Choices) > 0 || f.Many != "") {
					t.Errorf("switch %q has values", f.Name)
				}
				if f.Kind != flags.Switch && f.Off != "" {
					t.Errorf("%q has a value and a name that turns it off", f.Name)
				}
			}
			if !slices.IsSorted(tc.table.Architectures) {
				t.Error("architectures are not sorted")
			}
		})
	}
	if !flags.VLLM().Serves("LlamaForCausalLM") || flags.VLLM().Serves("NoSuchModel") {
		t.Error("vLLM serves Llama and not what does not exist")
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ line, wrong string }{
		"all is well":                     {"serve /m --port 1 --enforce-eager --served-model-name a b --max-model-len auto", ""},
		"a switch by its other name":      {"--disable-prefix-caching", ""},
		"a flag that is repeated":         {"--middleware a --middleware b", ""},
		"a parser of the user's own":      {"--tool-call-parser mine --tool-parser-plugin /x", ""},
		"an unknown flag":                 {"--prot 1", "prot is no flag of vllm 0.33.0: did you mean port?"},
		"a value too many":                {"--port 1 2", "one value is enough"},
		"a value too few":                 {"--port --enforce-eager", "not a whole number"},
		"a switch with a value":           {"--enforce-eager true", "it is a switch"},
		"twice":                           {"--port 1 --port 2", "--port is said twice"},
		"twice by two names":              {"--enable-prefix-caching --disable-prefix-caching", "is said twice"},
		"a word where a number belongs":   {"--port one", "not a whole number"},
		"a parser that nobody has":        {"--tool-call-parser mine", "not one of"},
		"a short flag is none of ours":    {"--port 1 -q awq", "one value is enough"},
		"a negative number is a value":    {"--prefix-cache-retention-interval -1", ""},
		"a choice among whole numbers":    {"--max-lora-rank 17", "not one of 1, 8"},
		"a short flag before all":         {"-q awq --port 1", ""},
		"JSON that is none":               {"--compilation-config {", "not a map, a list or JSON"},
		"text where JSON or text belongs": {"--hf-overrides x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := flags.VLLM().Read(strings.Fields(tc.line))
			if tc.wrong == "" && err != nil || tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)) {
				t.Errorf("got %v, want %q", err, tc.wrong)
			}
		})
	}
	var unknown *flags.UnknownError
	if _, _, err := flags.VLLM().Read([]string{"--nonsense"}); !errors.As(err, &unknown) || unknown.Name != "nonsense" {
		t.Errorf("got %v", err)
	}
}

func TestMergeTakesTheLast(t *testing.T) {
	t.Parallel()
	got := flags.Line(flags.Merge(
		[]flags.Argument{flags.Set("b", "1"), flags.On("c")},
		[]flags.Argument{flags.Set("a", "2"), flags.Off("c", "no-c")},
		[]flags.Argument{flags.Set("b", "3")},
	))
	if diff := cmp.Diff([]string{"--a", "2", "--b", "3", "--no-c"}, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}
