package engine_test

import (
	"strings"
	"testing"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/model"
)

func TestFactsThatNoEngineTakesAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		m    model.Model
		want string
	}{
		"what is shipped":                {model.Model{Chat: model.Chat{Template: "chatml"}, VLLM: map[string]string{"tool-call-parser": "hermes", "enable-expert-parallel": "true"}}, ""},
		"a template that is not known":   {model.Model{Chat: model.Chat{Template: "x"}}, `chat.template "x" is none that is known`},
		"a flag that is misspelt":        {model.Model{VLLM: map[string]string{"tool-call-parsr": "hermes"}}, "tool-call-parser"},
		"a value that the flag does not": {model.Model{VLLM: map[string]string{"max-num-seqs": "many"}}, "vllm.max-num-seqs"},
		"a flag of Kaito's":              {model.Model{VLLM: map[string]string{"host": "0.0.0.0"}}, "vllm.host is set by Kaito"},
		"code that comes with weights":   {model.Model{VLLM: map[string]string{"trust-remote-code": "true"}}, "vllm.trust-remote-code is not for a catalog to say"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := engine.CheckFacts(tc.m)
			if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an answer that says %q", err, tc.want)
			}
		})
	}
}
