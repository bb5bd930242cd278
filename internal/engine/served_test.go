package engine_test

import (
	"testing"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/model"
)

func TestModelsWithoutCodeAreTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		architectures []string
		unserved      bool
	}{
		"one that vLLM knows":            {[]string{"LlamaForCausalLM"}, false},
		"one of several that vLLM knows": {[]string{"OddForCausalLM", "LlamaForCausalLM"}, false},
		"one that nobody knows":          {[]string{"OddForCausalLM"}, true},
		"one that names none":            {nil, false},
	} {
		if got := engine.Served(model.Model{Architectures: tc.architectures}).Unserved; got != tc.unserved {
			t.Errorf("%s: unserved is %v", name, got)
		}
	}
}
