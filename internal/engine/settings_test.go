package engine_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/flags"
)

func TestSettingsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, engine, want string }{
		"a number":                            {"vllm: {max-num-seqs: 16}", "vllm", "--max-num-seqs 16"},
		"digits are not rounded":              {"vllm: {gpu-memory-utilization: 0.30000000000000004}", "vllm", "--gpu-memory-utilization 0.30000000000000004"},
		"a number that an int64 just holds":   {"vllm: {seed: 9223372036854775807}", "vllm", "--seed 9223372036854775807"},
		"a number in hexadecimal":             {"vllm: {seed: 0x10}", "vllm", "--seed 16"},
		"a size with a unit":                  {"vllm: {max-model-len: 32k}", "vllm", "--max-model-len 32k"},
		"an underscore for a dash":            {"vllm: {max_model_len: 4096}", "vllm", "--max-model-len 4096"},
		"true turns on":                       {"vllm: {enable-prefix-caching: true}", "vllm", "--enable-prefix-caching"},
		"false turns off":                     {"vllm: {enable-prefix-caching: false}", "vllm", "--disable-prefix-caching"},
		"false of a flag without another":     {"vllm: {disable-log-stats: false}", "vllm", ""},
		"true in quotes, as old files have":   {`vllm: {enforce-eager: "true"}`, "vllm", "--enforce-eager"},
		"the words of older YAML":             {"vllm: {enforce-eager: yes, trust-remote-code: off}", "vllm", "--enforce-eager --no-trust-remote-code"},
		"the other name, turned off":          {"vllm: {disable-prefix-caching: false}", "vllm", "--enable-prefix-caching"},
		"the other name of old versions":      {"vllm: {no-enable-prefix-caching: true}", "vllm", "--disable-prefix-caching"},
		"a map becomes JSON":                  {"vllm: {compilation-config: {mode: 3, pass_config: {fuse_norm_quant: false}}}", "vllm", `--compilation-config {"mode":3,"pass_config":{"fuse_norm_quant":false}}`},
		"a map's numbers keep their digits":   {"vllm: {hf-overrides: {rope_theta: 1000000.0, big: 123456789012345678901}}", "vllm", `--hf-overrides {"big":123456789012345678901,"rope_theta":1000000.0}`},
		"letters stay as they are":            {"vllm: {hf-overrides: {a: <สวัสดี&>}}", "vllm", `--hf-overrides {"a":"<สวัสดี&>"}`},
		"JSON in text stays as it is":         {`vllm: {compilation-config: '{"mode": 3}'}`, "vllm", `--compilation-config {"mode": 3}`},
		"a part of a map by a point":          {"vllm: {compilation-config.pass_config.fuse_allreduce_rms: false}", "vllm", `--compilation-config {"pass_config":{"fuse_allreduce_rms":false}}`},
		"parts are laid over the whole":       {"vllm: {compilation-config: {mode: 3}, compilation-config.backend: eager}", "vllm", `--compilation-config {"backend":"eager","mode":3}`},
		"a list becomes several values":       {"vllm: {allowed-media-domains: [a.example, b.example]}", "vllm", "--allowed-media-domains a.example b.example"},
		"a list of a flag that is repeated":   {"vllm: {middleware: [a.b, c.d]}", "vllm", "--middleware a.b --middleware c.d"},
		"a list of a flag that takes JSON":    {"vllm: {allowed-origins: ['https://a.example']}", "vllm", `--allowed-origins ["https://a.example"]`},
		"one value where many may be":         {"vllm: {cudagraph-capture-sizes: 8}", "vllm", "--cudagraph-capture-sizes 8"},
		"flags are sorted":                    {"vllm: {seed: 1, dtype: auto}", "vllm", "--dtype auto --seed 1"},
		"a parser of the user's own":          {"vllm: {tool-call-parser: mine, tool-parser-plugin: /x.py}", "vllm", "--tool-call-parser mine --tool-parser-plugin /x.py"},
		"on is a word for llama.cpp":          {"llamacpp: {flash-attn: on}", "llamacpp", "--flash-attn on"},
		"true is on for llama.cpp":            {"llamacpp: {flash-attn: true}", "llamacpp", "--flash-attn on"},
		"llama.cpp's lists have commas":       {"llamacpp: {tensor-split: [1, 2]}", "llamacpp", "--tensor-split 1,2"},
		"another name of the same flag":       {"llamacpp: {temperature: 0.5}", "llamacpp", "--temp 0.5"},
		"a flag with a point in its name":     {"llamacpp: {seed: 7}", "llamacpp", "--seed 7"},
		"both sections, each for its engine":  {"vllm: {seed: 1}\nllamacpp: {seed: 2}", "llamacpp", "--seed 2"},
		"an empty file":                       {"", "vllm", ""},
		"only a comment":                      {"# nothing\n", "vllm", ""},
		"an empty section":                    {"vllm:\n", "vllm", ""},
		"what the reference's example holds":  {"max_probe_steps: 6\nvllm:\n  cpu-offload-gb: 0\n  gpu-memory-utilization: 0.95\n  swap-space: 4\n  max-seq-len-to-capture: 8192\n  num-scheduler-steps: 1\n  enable-chunked-prefill: false\n  max-model-len: 1024\n", "vllm", "--cpu-offload-gb 0 --disable-chunked-prefill --gpu-memory-utilization 0.95 --max-model-len 1024"},
		"a top-level key of newer references": {"kv_cache_cpu_memory_utilization: 0.5\n", "vllm", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := engine.ParseSettings([]byte(tc.file))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(flags.Line(s.Arguments[tc.engine]), " ")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("flags (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, want string }{
		"no YAML":                           {"vllm:\n  a: [", "line 2: is no YAML"},
		"a tab":                             {"vllm:\n\tseed: 1", "line 2: is no YAML, in this line or below it: found character that cannot start any token"},
		"a list for a file":                 {"- vllm", "line 1: the file is no map"},
		"a section that is no section":      {"vlm: {}", `line 1: "vlm" is no section: there are vllm and llamacpp`},
		"a section that is text":            {"vllm: seed", "line 1: vllm is no map"},
		"an unknown flag":                   {"vllm:\n  seed: 1\n  max-modl-len: 1", "line 3: vllm.max-modl-len is no flag of vllm 0.33.0: did you mean max-model-len?"},
		"nothing like a flag":               {"vllm: {qqqqqqqqqqqq: 1}", "vllm.qqqqqqqqqqqq is no flag of vllm 0.33.0"},
		"dashes before the name":            {"vllm: {--seed: 1}", "did you mean seed?"},
		"a number that is a word":           {"vllm:\n  seed: one", `line 2: vllm.seed is "one", which is not a whole number`},
		"a part of a thing":                 {"vllm: {max-num-seqs: 1.5}", `vllm.max-num-seqs is "1.5", which is not a whole number`},
		"half a power of two":               {"vllm: {max-model-len: 1.5K}", "which is not a whole number, one with a unit such as 32k, or auto"},
		"infinity":                          {"vllm: {gpu-memory-utilization: .inf}", "which is not a number"},
		"a switch that is a number":         {"vllm: {enforce-eager: 1}", `vllm.enforce-eager is "1", which is not true or false`},
		"a switch without a value":          {"vllm:\n  enforce-eager:\n", "which is not true or false"},
		"a value that is a switch's":        {"vllm: {dtype: true}", `vllm.dtype is "true", which is not a value: it is no switch`},
		"a choice that is none":             {"vllm: {dtype: float8}", `vllm.dtype is "float8", which is not one of auto, bfloat16`},
		"a parser that vLLM does not have":  {"vllm: {tool-call-parser: hermez}", `vllm.tool-call-parser is "hermez", which is not one of the 58 that there are: did you mean hermes?`},
		"a quantisation that it has not":    {"vllm: {quantization: gguf}", `vllm.quantization is "gguf", which is not one of the 30 that there are`},
		"a map for a number":                {"vllm: {seed: {a: 1}}", `vllm.seed is "a map", which is not a value`},
		"a list for one value":              {"vllm: {seed: [1]}", `vllm.seed is "a list", which is not a value`},
		"an empty list":                     {"vllm: {allowed-media-domains: []}", "which is not a list with at least one value"},
		"text for JSON":                     {"vllm: {compilation-config: fast}", "which is not a map, a list or JSON"},
		"a key that a map has not":          {"vllm: {compilation-config: {level: 3, mod: 1}}", `vllm.compilation-config is "level", which is not one of its keys`},
		"a key twice":                       {"vllm:\n  seed: 1\n  seed: 2", "line 3: vllm.seed is set in line 2 already"},
		"a flag twice by two names":         {"vllm:\n  max-model-len: 1\n  max_model_len: 2", "line 3: vllm.max_model_len is the same flag as max-model-len in line 2"},
		"a section twice":                   {"vllm: {}\nvllm: {}", "line 2: vllm is set in line 1 already"},
		"a key twice within a value":        {"vllm: {hf-overrides: {a: 1, a: 2}}", `the key "a" is there twice`},
		"a part that is whole already":      {"vllm: {hf-overrides: {a: 1}, hf-overrides.a.b: 2}", "a is set as a whole and in part"},
		"a part of what has none":           {"vllm: {seed.a: 1}", "vllm.seed is \"\", which is not a flag with parts"},
		"a flag of the operator":            {"vllm: {port: 80}", "vllm.port is set by Kaito: the runner finds the server there"},
		"the operator's, by another name":   {"llamacpp: {usage: true}", "llamacpp.usage is set by Kaito: with it the server prints and ends"},
		"an alias":                          {"a: &a 1\nvllm: {seed: *a}", "anchors and aliases are not read"},
		"a billion laughs":                  {"x: &a [1,1]\nvllm: {hf-overrides: {a: [*a,*a]}}", "anchors and aliases are not read"},
		"a merge":                           {"vllm:\n  <<: {seed: 1}", "a key is a name"},
		"a value like a flag":               {"vllm: {revision: --host}", "it begins like a flag"},
		"a NUL":                             {`vllm: {revision: "a\0b"}`, "text without a NUL"},
		"many problems, the first come out": {"vllm: {a1z: 1, b2z: 1, c3z: 1, d4z: 1, e5z: 1, f6z: 1}", "and 2 more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := engine.ParseSettings([]byte(tc.file))
			var wrong *engine.SettingsError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a SettingsError that says %q", err, tc.want)
			}
		})
	}
}

func TestWhatChangesNothingIsSaid(t *testing.T) {
	t.Parallel()
	s, err := engine.ParseSettings([]byte("max_probe_steps: 6\nvllm: {swap-space: 4, seed: 1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"max_probe_steps (the plan computes the context; nothing is probed)",
		"vllm.swap-space (vLLM keeps no swap any more)",
	}
	if diff := cmp.Diff(want, s.Ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}

// Whatever is read can be written, and the server would read the same.
func FuzzParseSettings(f *testing.F) {
	for _, seed := range []string{
		"vllm: {max-model-len: 32k, enable-prefix-caching: false, compilation-config: {mode: 3}}",
		"llamacpp:\n  flash-attn: on\n  tensor-split: [1, 2]\n", "max_probe_steps: 6", "vllm: &a\n  seed: *a", "? [a]\n: b",
		"vllm: {hf-overrides.a.b: 1, hf-overrides: {c: 0x1F, d: .5, e: 1_000, f: ~, g: 2001-01-01}}",
	} {
		f.Add(seed)
	}
	tables := map[string]flags.Table{"vllm": flags.VLLM(), "llamacpp": flags.LlamaServer()}
	f.Fuzz(func(t *testing.T, file string) {
		s, err := engine.ParseSettings([]byte(file))
		if err != nil {
			var wrong *engine.SettingsError
			if !errors.As(err, &wrong) || len(wrong.Problems) == 0 || wrong.Error() == "" {
				t.Fatalf("%q: %v", file, err)
			}
			return
		}
		for name, arguments := range s.Arguments {
			line := flags.Line(arguments)
			if _, _, err := tables[name].Read(line); err != nil {
				t.Fatalf("%q becomes %q, which %s refuses: %v", file, line, name, err)
			}
			for _, a := range arguments {
				if a.Flag.Kind == flags.JSON && !json.Valid([]byte(a.Values[0])) {
					t.Fatalf("%q becomes %q", file, a.Values[0])
				}
			}
		}
	})
}
