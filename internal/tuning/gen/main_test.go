package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/tuning"
)

func TestThePageIsWhatTheTableSays(t *testing.T) {
	t.Parallel()
	want, err := page(tuning.Options())
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../docs/training-config.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/training-config.md is not up to date, run go generate ./internal/tuning (-want +got):\n%s", diff)
	}
}

func TestAKeyThatTheLibrariesAddOrLoseIsNoticed(t *testing.T) {
	t.Parallel()
	table := tuning.Options()
	table.Sections["LoraConfig"]["new_key"] = tuning.Option{Kind: tuning.Int}
	delete(table.Sections["LoraConfig"], "r")
	_, err := page(table)
	for _, want := range []string{"LoraConfig.new_key has no words", "LoraConfig.r is no key"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want one that says %q", err, want)
		}
	}
}
