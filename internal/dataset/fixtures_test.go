package dataset_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/dataset"
)

// held is a file in memory.
type held struct{ *strings.Reader }

func (held) Close() error { return nil }

func inMemory(name, content string) dataset.File {
	return dataset.File{Name: name, Size: int64(len(content)), Open: func(context.Context) (dataset.Handle, error) {
		return held{strings.NewReader(content)}, nil
	}}
}

func onDisk(t *testing.T, path string) dataset.File {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return dataset.File{Name: filepath.Base(path), Size: info.Size(), Open: func(context.Context) (dataset.Handle, error) { return os.Open(path) }}
}

func readAll(t *testing.T, o dataset.Options, files ...dataset.File) ([]dataset.Row, dataset.Summary, error) {
	t.Helper()
	var rows []dataset.Row
	sum, err := dataset.Read(t.Context(), files, o, func(r dataset.Row) error {
		rows = append(rows, r)
		return nil
	})
	return rows, sum, err
}

// turns is what testdata/make.py writes into row i.
func turns(i int) []dataset.Message {
	var all []dataset.Message
	if i%3 == 0 {
		all = append(all, dataset.Message{Role: "system", Content: "Be brief."})
	}
	for turn := range 1 + i%2 {
		all = append(all,
			dataset.Message{Role: "user", Content: fmt.Sprintf("question %d.%d?", i, turn)},
			dataset.Message{Role: "assistant", Content: fmt.Sprintf("answer %d.%d: ünï ไทย", i, turn)})
	}
	return all
}

func TestConversationsThatPyarrowWroteAreReadAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"testdata/chat*", "testdata/share*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("fixtures %s: %v, %v", pattern, paths, err)
		}
		for _, path := range paths {
			t.Run(filepath.Base(path), func(t *testing.T) {
				t.Parallel()
				rows, sum, err := readAll(t, dataset.Options{}, onDisk(t, path))
				if err != nil {
					t.Fatal(err)
				}
				if sum.Rows != 50 || len(rows) != 50 || sum.EmptyRows != 0 || sum.DuplicateRows != 0 {
					t.Errorf("summary %+v, %d rows", sum, len(rows))
				}
				for i, row := range rows {
					if diff := cmp.Diff(turns(i), row.Messages); diff != "" || row.Number != int64(i+1) {
						t.Fatalf("row %d: %s", row.Number, diff)
					}
				}
			})
		}
	}
}

func TestTextWithANullRow(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"text-null.parquet", "text-null.arrow", "text-null-stream.arrow"} {
		rows, sum, err := readAll(t, dataset.Options{}, onDisk(t, "testdata/"+name))
		if err != nil || sum.Rows != 49 || sum.EmptyRows != 1 || rows[7].Text != "text 8" || rows[7].Number != 9 {
			t.Errorf("%s: %+v, %v", name, sum, err)
		}
		if diff := cmp.Diff([]dataset.Place{{File: name, Row: 8}}, sum.FirstEmpty); diff != "" {
			t.Error(diff)
		}
	}
}

func TestABinaryFileThatIsCutOffIsNamed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"chat-snappy.parquet", "chat-v2.parquet", "chat.arrow", "chat-stream.arrow"} {
		whole, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []int{len(whole) - 1, len(whole) * 3 / 4, len(whole) / 2, 100, 9} {
			_, _, err := readAll(t, dataset.Options{}, inMemory(name, string(whole[:part])))
			if strings.HasSuffix(name, "stream.arrow") && part == len(whole)-1 {
				continue // its last bytes say nothing but that it ends
			}
			if err == nil || !strings.Contains(err.Error(), "cut off or damaged") {
				t.Errorf("%s of %d bytes: %v", name, part, err)
			}
		}
	}
}
