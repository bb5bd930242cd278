package near_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/near"
)

func TestNames(t *testing.T) {
	t.Parallel()
	known := []string{"max-model-len", "max-num-seqs", "model", "port"}
	for name, tc := range map[string]struct {
		wanted string
		want   []string
	}{
		"a letter is missing":           {"max-modl-len", []string{"max-model-len"}},
		"it is part of a longer name":   {"num-seqs", []string{"max-num-seqs"}},
		"nothing is close":              {"zzzzzzzzzzzz", nil},
		"nothing is asked for":          {"", nil},
		"the best comes first":          {"modem", []string{"model"}},
		"letters beyond ASCII are fine": {"modél", []string{"model"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, near.Names(tc.wanted, known)); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}
