package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/model"
)

// flagRemoteCode has vLLM run Python that comes with the weights. Only the owner of a
// Workspace can allow that, never whoever wrote down the facts of a model.
const flagRemoteCode = "trust-remote-code"

// CheckFacts says what in a model's facts the engines do not know, or what is not for a
// catalog to say. The models that are shipped pass; those that users add may not.
func CheckFacts(m model.Model) error {
	var errs []error
	if !KnowsTemplate(m.Chat.Template) {
		errs = append(errs, fmt.Errorf("chat.template %q is none that is known: there is %s", m.Chat.Template, slices.Sorted(maps.Keys(templates()))))
	}
	table := flags.VLLM()
	for _, name := range slices.Sorted(maps.Keys(m.VLLM)) {
		f, _, ok := table.Find(name)
		why, mine := ownedVLLM()[name]
		switch {
		case !ok || f.Name != name:
			errs = append(errs, fmt.Errorf("vllm.%w", table.Unknown(name)))
		case mine:
			errs = append(errs, fmt.Errorf("vllm.%s is set by Kaito: %s", name, why))
		case name == flagRemoteCode:
			errs = append(errs, fmt.Errorf("vllm.%s is not for a catalog to say: the owner of a Workspace allows it by annotation", name))
		default:
			if err := f.Check(m.VLLM[name]); err != nil && (f.Kind != flags.Switch || m.VLLM[name] != "true") {
				errs = append(errs, fmt.Errorf("vllm.%w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// AsksForCode is true of settings that have vLLM run code which comes with the weights.
func AsksForCode(s Settings) bool {
	return slices.ContainsFunc(s.Arguments[sectionVLLM], func(a flags.Argument) bool { return a.Flag.Name == flagRemoteCode && !a.Off })
}
