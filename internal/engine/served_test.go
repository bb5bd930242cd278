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

// A model of one's own is on no hub: it answers under its id.
func TestAModelOnNoHubAnswersUnderItsID(t *testing.T) {
	t.Parallel()
	m := model.Model{ID: "our-model", Aliases: []string{"Ours"}}
	if got := engine.ServedID(m); got != "our-model" {
		t.Errorf("it is served as %q", got)
	}
	if got := engine.ServedAliases(m); len(got) != 1 || got[0] != "Ours" {
		t.Errorf("further names are %q, want Ours", got)
	}
}
