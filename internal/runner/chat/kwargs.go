package chat

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"kaito.sh/kaito/internal/runner/engine"
)

// rule says how one of generate_kwargs is read and how each engine calls it; an engine
// that is not listed goes by the name under "", and without that name it has no such setting.
type rule struct {
	read func(json.RawMessage) (any, error)
	as   map[string]string
}

// rules are the settings that reach the engine.
var rules = map[string]rule{ //nolint:gochecknoglobals // a table
	"temperature":        {number, everywhere("temperature")},
	"top_p":              {number, everywhere("top_p")},
	"frequency_penalty":  {number, everywhere("frequency_penalty")},
	"presence_penalty":   {number, everywhere("presence_penalty")},
	"seed":               {integer, everywhere("seed")},
	"stop":               {words, everywhere("stop")},
	"stop_strings":       {words, everywhere("stop")},
	"top_k":              {integer, only("top_k", "top_k")},
	"min_p":              {number, only("min_p", "min_p")},
	"repetition_penalty": {number, only("repeat_penalty", "repetition_penalty")},
	"typical_p":          {number, map[string]string{engine.LlamaCpp: "typical_p"}},
	"min_new_tokens":     {integer, map[string]string{engine.VLLM: "min_tokens"}},
}

// neutral are settings that no engine of ours has, with the values that change nothing;
// clients of the reference send them all the time, so these values need no warning.
var neutral = map[string]string{ //nolint:gochecknoglobals // a table
	"clean_up_tokenization_spaces": "false",
	"diversity_penalty":            "0",
	"early_stopping":               "false",
	"handle_long_generation":       "null",
	"length_penalty":               "1",
	"min_length":                   "0",
	"min_new_tokens":               "0",
	"no_repeat_ngram_size":         "0",
	"num_beam_groups":              "1",
	"num_beams":                    "1",
	"num_return_sequences":         "1",
	"prefix":                       "null",
	"remove_invalid_values":        "false",
	"typical_p":                    "1",
	"use_cache":                    "true",
}

func everywhere(name string) map[string]string { return map[string]string{"": name} }

func only(llama, vllm string) map[string]string {
	return map[string]string{engine.LlamaCpp: llama, engine.VLLM: vllm}
}

// settings is what generate_kwargs ask for.
type settings struct {
	request map[string]any // in the words of the engine
	maxNew  int            // 0: not given
	maxLen  int
	ignored []string // sorted
}

// typeError is a setting of the wrong kind.
type typeError struct{ name, want string }

func (e *typeError) Error() string {
	return fmt.Sprintf("generate_kwargs.%s must be %s", e.name, e.want)
}

// read translates generate_kwargs for the engine. A null is as good as nothing.
func read(kwargs map[string]json.RawMessage, name string) (settings, error) {
	out := settings{request: map[string]any{}, maxLen: defaultMaxLength}
	greedy := false
	for _, key := range slices.Sorted(maps.Keys(kwargs)) {
		raw := kwargs[key]
		if string(raw) == "null" {
			continue
		}
		var err error
		switch key {
		case "max_new_tokens":
			out.maxNew, err = positive(raw)
		case "max_length":
			out.maxLen, err = positive(raw)
		case "do_sample":
			var sample bool
			sample, err = truth(raw)
			greedy = !sample
		default:
			err = out.add(key, raw, name)
		}
		if err != nil {
			return settings{}, &typeError{key, err.Error()}
		}
	}
	if greedy {
		delete(out.request, "top_p")
		delete(out.request, "top_k")
		out.request["temperature"] = 0
	}
	return out, nil
}

// add takes over one setting of the engine's, or remembers that it was ignored.
func (s *settings) add(key string, raw json.RawMessage, name string) error {
	r, known := rules[key]
	to := ""
	if known {
		var special bool
		if to, special = r.as[name]; !special {
			to = r.as[""]
		}
	}
	if to == "" {
		if !same(neutral[key], raw) {
			s.ignored = append(s.ignored, key)
		}
		return nil
	}
	v, err := r.read(raw)
	if err != nil {
		return err
	}
	s.request[to] = v
	return nil
}

// same says whether raw is the JSON value want, so that 1 and 1.0 are one.
func same(want string, raw json.RawMessage) bool {
	var a, b any
	return want != "" && json.Unmarshal([]byte(want), &a) == nil && json.Unmarshal(raw, &b) == nil && a == b
}
