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
		"a name of which one is a part": {"the-model", []string{"model"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, near.Names(tc.wanted, known)); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

// The name that was mistyped comes before the one that happens to stand in it.
func TestAShorterNameThatStandsInTheWantedOneComesLater(t *testing.T) {
	t.Parallel()
	known := []string{"phi-4", "phi-4-mini-instruct", "phi-3-mini-4k-instruct", "Standard_NC24ads_A100_v4", "Standard_NC24"}
	for wanted, want := range map[string]string{
		"phi-4-mini-instuct":         "phi-4-mini-instruct",
		"phi-4-mini-instruct-2":      "phi-4-mini-instruct",
		"phi-4-mini-instuct-fp16":    "phi-4-mini-instruct",
		"phi-4-mini":                 "phi-4-mini-instruct",
		"phi-44":                     "phi-4",
		"Standard_NC24ads_A100_v44":  "Standard_NC24ads_A100_v4",
		"xStandard_NC24ads_A10_v4xx": "Standard_NC24ads_A100_v4",
	} {
		t.Run(wanted, func(t *testing.T) {
			t.Parallel()
			if got := near.Names(wanted, known); len(got) == 0 || got[0] != want {
				t.Errorf("got %q, want %s first", got, want)
			}
		})
	}
}
