package engine_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/model"
)

func TestWhatThePlanHears(t *testing.T) {
	t.Parallel()
	cache := func(b model.Bytes) *model.Bytes { return &b }
	for name, tc := range map[string]struct {
		file, engine string
		want         model.Wish
	}{
		"nothing":                             {"vllm: {seed: 1}", "vllm", model.Wish{}},
		"all that vLLM's flags say":           {"vllm: {max-model-len: 4096, max-num-seqs: 8, tensor-parallel-size: 2, gpu-memory-utilization: 0.5}", "vllm", model.Wish{Context: 4096, Slots: 8, GPUs: 2, Utilisation: 0.5}},
		"k is a thousand":                     {"vllm: {max-model-len: 32k}", "vllm", model.Wish{Context: 32000}},
		"K is 1024":                           {"vllm: {max-model-len: 32K}", "vllm", model.Wish{Context: 32768}},
		"auto leaves it to the plan":          {"vllm: {max-model-len: auto}", "vllm", model.Wish{}},
		"and so does -1":                      {"vllm: {max-model-len: -1}", "vllm", model.Wish{}},
		"a cache of 8 bits":                   {"vllm: {kv-cache-dtype: fp8_e5m2}", "vllm", model.Wish{CacheBits: 8}},
		"a cache that we are not sure of":     {"vllm: {kv-cache-dtype: nvfp4}", "vllm", model.Wish{CacheBits: 16}},
		"the other name of a flag":            {"vllm: {device-memory-utilization: 0.5}", "vllm", model.Wish{Utilisation: 0.5}},
		"all that llama.cpp's flags say":      {"llamacpp: {ctx-size: 4096, parallel: 4, cache-ram: 0}", "llamacpp", model.Wish{TotalContext: 4096, Slots: 4, PromptCache: cache(0)}},
		"llama.cpp's words for its own guess": {"llamacpp: {ctx-size: 0, parallel: -1}", "llamacpp", model.Wish{}},
		"one engine does not hear the other":  {"vllm: {max-model-len: 4096}", "llamacpp", model.Wish{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := engine.ParseSettings([]byte(tc.file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, s.Wishes[tc.engine]); diff != "" {
				t.Errorf("wish (-want +got):\n%s", diff)
			}
		})
	}
	for name, tc := range map[string]struct{ file, want string }{
		"more than all of the memory": {"vllm: {gpu-memory-utilization: 1.5}", `"1.5", which is not a part of 1`},
		"none of the memory":          {"vllm: {gpu-memory-utilization: 0}", `"0", which is not a part of 1`},
		"no context":                  {"vllm: {max-model-len: 0}", "not a whole number from 1 to 16777216"},
		"a context beyond all":        {"vllm: {max-model-len: 99T}", "not a whole number from 1 to 16777216"},
		"no requests":                 {"vllm: {max-num-seqs: 0}", "not a whole number from 1 to 16384"},
		"half a slot":                 {"llamacpp: {parallel: 1.5}", "not a whole number from -1 to 16384"},
		"a cache of less than none":   {"llamacpp: {cache-ram: -1}", "not a whole number of MiB from 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := engine.ParseSettings([]byte(tc.file)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an answer that says %q", err, tc.want)
			}
		})
	}
}
