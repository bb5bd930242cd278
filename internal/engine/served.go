package engine

import (
	"slices"

	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/model"
)

// Served says of a model whether vLLM has code for one of its architectures. A model that
// names none is taken for one that it has code for: GGUF files do not name any.
func Served(m model.Model) model.Model {
	m.Unserved = len(m.Architectures) > 0 && !slices.ContainsFunc(m.Architectures, flags.VLLM().Serves)
	return m
}
