package adapters

import (
	"fmt"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/engine"
)

// fits says why an adapter cannot be used with the model or the engine; the error is an
// *adapter.UnusableError.
func fits(f adapter.Facts, s contract.Serve) error {
	base := s.AdapterBase
	switch {
	case !sameBase(f.Base, append([]string{base.HubID, s.Model.ID}, s.Model.Aliases...)):
		return unusable("%s says that it was tuned on %q, and this Workspace serves %q: serve that model, or name an adapter of this one", adapter.ConfigFile, f.Base, base.HubID)
	case f.Rank > base.MaxRank && s.Engine.Name == engine.VLLM:
		return unusable("it has the rank %d, and the engine is started for ranks up to %d: set vllm.max-lora-rank in inference.config", f.Rank, base.MaxRank)
	case f.Rank > base.MaxRank:
		return unusable("it has the rank %d, and memory is reserved for ranks up to %d: train it with a smaller rank", f.Rank, base.MaxRank)
	case changesBase(f.Init):
		return unusable("init_lora_weights is %q, so it belongs to a changed base: convert it to a plain LoRA adapter as PEFT's documentation says", f.Init)
	case f.Alpha == 0:
		return unusable("lora_alpha is 0, so that it changes nothing")
	}
	if s.Engine.Name == engine.LlamaCpp {
		return nil // the conversion says what llama.cpp does not take
	}
	return plain(f, s.Engine.Name)
}

// plain refuses what vLLM refuses when it starts, or takes and computes otherwise.
func plain(f adapter.Facts, engineName string) error {
	switch {
	case f.DoRA:
		return unusable("use_dora is true, which %s does not serve: train it without DoRA", engineName)
	case len(f.Other) > 0:
		return unusable("it holds whole weights beside the low-rank ones (%s), which %s does not serve: train it without bias and modules_to_save", f.Other[0], engineName)
	case f.Patterned:
		return unusable("it has rank_pattern or alpha_pattern, and %s knows one rank and one alpha of an adapter: train it without them", engineName)
	}
	return nil
}

// changesBase is true of the ways to begin that take something out of the base model's
// weights: PEFT computes that anew when it loads such an adapter, and no server does.
func changesBase(init string) bool {
	return slices.ContainsFunc([]string{"pissa", "olora", "corda", "loftq"}, func(way string) bool {
		return strings.HasPrefix(strings.ToLower(init), way)
	})
}

// sameBase compares the model that an adapter names with the names of the model that is
// served. Only a name of the form owner/name can be compared: paths say nothing. The
// owner may differ, and so may endings that name a quantisation: the weights that are
// changed have the same shapes and mean the same.
func sameBase(named string, served []string) bool {
	owner, model, ok := strings.Cut(named, "/")
	if !ok || owner == "" || model == "" || strings.Contains(model, "/") || strings.ContainsAny(owner[:1], ".~") {
		return true
	}
	return slices.ContainsFunc(served, func(s string) bool { return stem(s) == stem(model) })
}

// stem is the name of a model without its owner and without what names a quantisation.
func stem(name string) string {
	name = strings.ToLower(name[strings.LastIndex(name, "/")+1:])
	for again := true; again; {
		again = false
		for _, end := range []string{
			"-bnb-4bit", "-bnb-8bit", "-4bit", "-8bit", "-unsloth", "-awq", "-gptq", "-fp8", "-int4", "-int8", "-hf", "-bf16", "-gguf",
		} {
			if short, cut := strings.CutSuffix(name, end); cut && short != "" {
				name, again = short, true
			}
		}
	}
	return name
}

func unusable(format string, args ...any) error {
	return &adapter.UnusableError{Why: fmt.Sprintf(format, args...)}
}
