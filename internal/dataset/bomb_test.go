package dataset_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"kaito.sh/kaito/internal/dataset"
)

// TestSmallFilesDoNotTakeLargeMemory is not parallel: it looks at what the whole process allocates.
func TestSmallFilesDoNotTakeLargeMemory(t *testing.T) {
	claim := func(size uint32, words ...string) string {
		return words[0] + string(binary.LittleEndian.AppendUint32(nil, size)) + words[1]
	}
	for name, tc := range map[string]struct {
		file, text, says string
	}{
		"JSON that is nested deeply":                 {"a.jsonl", `{"text":` + strings.Repeat("[", 1<<20), "not valid JSON"},
		"JSON with millions of values":               {"a.jsonl", `{"messages":[` + strings.Repeat("1,", 3<<20) + "1]}", "more than 1000000 values"},
		"a line without an end, packed":              {"a.jsonl.gz", endless(t, `{"text":"`), "longer than 32 MiB"},
		"a document without an end, packed":          {"a.json.gz", endless(t, `[{"text":"`), "longer than 32 MiB"},
		"a cell without an end, packed":              {"a.csv.gz", endless(t, "text\n\""), "longer than 32 MiB"},
		"parquet that claims a footer of 4 GB":       {"a.parquet", claim(0xfffffff0, "PAR1"+strings.Repeat("x", 100), "PAR1"), "cut off or damaged"},
		"arrow that claims a message of 2 GB":        {"a.arrow", "\xff\xff\xff\xff" + claim(0x7ffffff0, "", strings.Repeat("x", 100)), "cut off or damaged"},
		"an arrow file that claims a footer of 2 GB": {"a.arrow", claim(0x7ffffff0, "ARROW1\x00\x00"+strings.Repeat("x", 100), "ARROW1"), "cut off or damaged"},
		"a row of parquet with millions of values":   {"a.parquet", manyTurns(t), "more than 1000000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := readAll(t, dataset.Options{}, inMemory(tc.file, tc.text))
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v", err)
			}
			if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 600 {
				t.Errorf("%d MiB were allocated for %d bytes", got, len(tc.text))
			}
		})
	}
}

// endless is 200 MB of one letter behind a beginning, packed.
func endless(t *testing.T, begin string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, begin)
	letters := bytes.Repeat([]byte("x"), 1<<20)
	for range 200 {
		w.Write(letters)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// manyTurns is parquet with one conversation of three million turns, which packs well.
func manyTurns(t *testing.T) string {
	t.Helper()
	type turn struct {
		Role    string `parquet:"role,dict"`
		Content string `parquet:"content,dict"`
	}
	type row struct {
		Messages []turn `parquet:"messages,list"`
	}
	all := row{Messages: make([]turn, 3<<20)}
	for i := range all.Messages {
		all.Messages[i] = turn{"user", "x"}
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.Compression(&parquet.Zstd))
	if _, err := w.Write([]row{all}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
