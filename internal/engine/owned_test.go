package engine

import (
	"testing"

	"kaito.sh/kaito/internal/engine/flags"
)

// A name that is misspelt here would leave the flag to the user, or keep it from them.
func TestTheTablesOfNamesAreTrue(t *testing.T) {
	t.Parallel()
	for _, table := range []flags.Table{flags.VLLM(), flags.LlamaServer()} {
		for name, why := range owned(table.Engine) {
			if f, off, ok := table.Find(name); !ok || off || f.Name != name || why == "" {
				t.Errorf("%s has no flag that is first called %q", table.Engine, name)
			}
		}
		for name := range gone(table.Engine) {
			if _, _, ok := table.Find(name); ok {
				t.Errorf("%s still has the flag %q", table.Engine, name)
			}
		}
	}
}
