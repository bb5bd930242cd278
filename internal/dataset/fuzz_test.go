package dataset_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"kaito.sh/kaito/internal/dataset"
)

// fuzzed reads whatever it is given: it must end with rows that are in order, or with an error about the data.
func fuzzed(t *testing.T, name, text string) {
	t.Helper()
	var last int64
	sum, err := dataset.Read(t.Context(), []dataset.File{inMemory(name, text)}, dataset.Options{}, func(r dataset.Row) error {
		if r.Number <= last || r.File != name {
			t.Errorf("row %d of %q behind row %d", r.Number, r.File, last)
		}
		last = r.Number
		for i, m := range r.Messages {
			if !utf8.ValidString(m.Content) || m.Role == "system" && i > 0 {
				t.Errorf("row %d has the turn %+v", r.Number, m)
			}
		}
		if n := len(r.Messages); n > 0 && r.Messages[n-1].Role != "assistant" {
			t.Errorf("row %d ends with %s", r.Number, r.Messages[n-1].Role)
		}
		return nil
	})
	var wrong *dataset.Error
	switch {
	case err != nil && !errors.As(err, &wrong):
		t.Errorf("%v is not about the data", err)
	case err == nil && (sum.Rows == 0 || sum.Files[0].Rows != sum.Rows+sum.EmptyRows):
		t.Errorf("%+v", sum)
	}
}

func seeds(f *testing.F, pattern string, texts ...string) {
	f.Helper()
	paths, err := filepath.Glob("testdata/" + pattern)
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	for _, text := range texts {
		f.Add(text)
	}
}

func FuzzParquet(f *testing.F) {
	seeds(f, "*.parquet")
	f.Fuzz(func(t *testing.T, text string) { fuzzed(t, "a.parquet", text) })
}

func FuzzArrow(f *testing.F) {
	seeds(f, "*.arrow")
	f.Fuzz(func(t *testing.T, text string) { fuzzed(t, "a.arrow", text) })
}

func FuzzJSON(f *testing.F) {
	seeds(f, "none", "["+chat(user, answer)+"]", `{"data":[{"text":"a"}]}`, `{"text":"a"}`+"\n"+`{"text":null}`, `[{"prompt":[],"completion":[]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		fuzzed(t, "a.json", text)
		fuzzed(t, "a.jsonl", text)
	})
}

func FuzzCSV(f *testing.F) {
	seeds(f, "none", "text\na\n", "messages,id\n"+quoted("["+user+","+answer+"]")+",1\n", "text\n\"a\"\"b\n")
	f.Fuzz(func(t *testing.T, text string) { fuzzed(t, "a.csv", text) })
}

func FuzzConversation(f *testing.F) {
	seeds(f, "none", "["+system+","+user+","+answer+"]", `[{"from":"human","value":[{"type":"text","text":"q"}]}]`, `"[]"`, "null")
	f.Fuzz(func(t *testing.T, turns string) {
		fuzzed(t, "a.jsonl", `{"messages":`+strings.ReplaceAll(turns, "\n", " ")+"}")
	})
}
