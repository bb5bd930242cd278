package dataset_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"kaito.sh/kaito/internal/dataset"
)

const (
	system = `{"role":"system","content":"s"}`
	user   = `{"role":"user","content":"q"}`
	answer = `{"role":"assistant","content":"a"}`
)

func chat(turns ...string) string { return `{"messages":[` + strings.Join(turns, ",") + `]}` }

func TestEveryShapeIsReadInEveryFormat(t *testing.T) {
	t.Parallel()
	question := []dataset.Message{{Role: "user", Content: "q"}, {Role: "assistant", Content: "a"}}
	for name, tc := range map[string]struct {
		file, text string
		options    dataset.Options
		format     string
		want       dataset.Row
	}{
		"messages as JSON lines":                {"a.jsonl", chat(system, user, answer), dataset.Options{}, "jsonl", dataset.Row{Shape: dataset.Messages, Messages: append([]dataset.Message{{Role: "system", Content: "s"}}, question...)}},
		"messages in a list":                    {"a.json", "[" + chat(user, answer) + "]", dataset.Options{}, "json", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"a list in a document":                  {"a.json", `{"version":"1","data":[` + chat(user, answer) + `]}`, dataset.Options{}, "json", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"one object over several lines":         {"a.json", "{\"train\":\n [\n" + chat(user, answer) + "\n]}", dataset.Options{}, "json", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"a name without an ending":              {"train", chat(user, answer) + "\n" + chat(user, answer), dataset.Options{}, "jsonl", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"lines with a byte order mark and CRLF": {"a.jsonl", "\xef\xbb\xbf" + chat(user, answer) + "\r\n\r\n", dataset.Options{}, "jsonl", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"conversations":                         {"a.jsonl", `{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}`, dataset.Options{}, "jsonl", dataset.Row{Shape: dataset.Conversations, Messages: question}},
		"prompt and completion":                 {"a.jsonl", `{"completion":"a","prompt":"q","id":7}`, dataset.Options{}, "jsonl", dataset.Row{Shape: dataset.Completion, Messages: question}},
		"prompt and completion as turns":        {"a.jsonl", `{"prompt":[` + user + `],"completion":[` + answer + `]}`, dataset.Options{}, "jsonl", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"text":                                  {"a.jsonl", `{"text":"words \u00fc"}`, dataset.Options{}, "jsonl", dataset.Row{Shape: dataset.Text, Text: "words ü"}},
		"CSV with quotes and line breaks":       {"a.csv", "id,text\n1,\"a \"\"b\"\",\nc\"\n", dataset.Options{}, "csv", dataset.Row{Shape: dataset.Text, Text: "a \"b\",\nc"}},
		"CSV with turns as JSON":                {"a.csv", `messages` + "\n" + `"[{""role"":""user"",""content"":""q""},{""role"":""assistant"",""content"":""a""}]"`, dataset.Options{}, "csv", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"CSV by its option":                     {"train", "text\na\n", dataset.Options{Extension: "csv"}, "csv", dataset.Row{Shape: dataset.Text, Text: "a"}},
		"columns of other names":                {"a.jsonl", `{"instruction":"q","output":"a","text":"x"}`, dataset.Options{ContextColumn: "instruction", ResponseColumn: "output"}, "jsonl", dataset.Row{Shape: dataset.Completion, Messages: question}},
		"a conversation of another name":        {"a.jsonl", `{"chat":[` + user + `,` + answer + `],"messages":1}`, dataset.Options{MessagesColumn: "chat"}, "jsonl", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"text of another name":                  {"a.jsonl", `{"body":"x"}`, dataset.Options{ResponseColumn: "body"}, "jsonl", dataset.Row{Shape: dataset.Text, Text: "x"}},
		"content in parts":                      {"a.jsonl", chat(`{"role":"user","content":[{"type":"text","text":"q"}]}`, answer), dataset.Options{}, "jsonl", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"roles of other names":                  {"a.jsonl", chat(`{"role":"Human","content":"q"}`, `{"role":"model","content":"a"}`), dataset.Options{}, "jsonl", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"gzip":                                  {"a.jsonl.gz", gzipped(t, chat(user, answer)), dataset.Options{}, "jsonl", dataset.Row{Shape: dataset.Messages, Messages: question}},
		"zstd":                                  {"a.csv.zst", zstded(t, "text\nx\n"), dataset.Options{}, "csv", dataset.Row{Shape: dataset.Text, Text: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, sum, err := readAll(t, tc.options, inMemory(tc.file, tc.text))
			if err != nil {
				t.Fatal(err)
			}
			tc.want.File, tc.want.Number = tc.file, 1
			if diff := cmp.Diff(tc.want, rows[0]); diff != "" {
				t.Error(diff)
			}
			if sum.Files[0].Format != tc.format {
				t.Errorf("the format is %s", sum.Files[0].Format)
			}
		})
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t *testing.T, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

func TestWhatIsWrongIsToldWithPlaceAndFix(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file, text string
		options    dataset.Options
		want       string
	}{
		"an empty file":                           {"a.jsonl", "", dataset.Options{}, `file "a.jsonl": it is empty; leave the file out or fill it`},
		"a file of blanks":                        {"a.jsonl", " \n\n", dataset.Options{}, `file "a.jsonl": it is empty; leave the file out or fill it`},
		"a list without rows":                     {"a.json", "[]", dataset.Options{}, `file "a.json": it has no rows; leave the file out or fill it`},
		"a header without rows":                   {"a.csv", "text\n", dataset.Options{}, `file "a.csv": it has no rows; leave the file out or fill it`},
		"a web page":                              {"a.parquet", "<!DOCTYPE html><html>", dataset.Options{}, `file "a.parquet": it is a web page, not data; take the address of the file itself: at a hub that is the one with /resolve/ instead of /blob/`},
		"a pointer of Git LFS":                    {"a.parquet", "version https://git-lfs.github.com/spec/v1\n", dataset.Options{}, `file "a.parquet": it is the pointer of a file in Git LFS, not the file; run git lfs pull, or take the file's own address`},
		"an error message":                        {"a.parquet", "access denied", dataset.Options{}, `file "a.parquet": it is called parquet and is text; look at what the address gives; it may be an error message`},
		"another binary format":                   {"a.jsonl", "PK\x03\x04\x00\x00", dataset.Options{}, `file "a.jsonl": it is of no format that is known; use arrow, csv, json, jsonl, parquet`},
		"words":                                   {"a.txt", "once upon", dataset.Options{}, `file "a.txt": it is of no format that is known; use arrow, csv, json, jsonl, parquet; where the content does not tell, the name must end so`},
		"words that are called JSON":              {"a.json", "once upon", dataset.Options{}, `file "a.json": it is called json and begins with "once upon"; write one object a line, or a list of objects`},
		"a format that does not exist":            {"a.json", "[]", dataset.Options{Extension: ".xml"}, `file "a.json": "xml" is no format; use one of arrow, csv, json, jsonl, parquet`},
		"a number in a list":                      {"a.json", `[7]`, dataset.Options{}, `file "a.json", row 1: the row is a number or a boolean, not an object with columns; write each row as an object such as {"text": "…"}`},
		"one object":                              {"a.json", "{\n\"name\":\"x\"}", dataset.Options{}, `file "a.json", row 1: it is one object without a list of rows; it has "name"; write a list of objects, or one object a line`},
		"a line that is cut off":                  {"a.jsonl", chat(user, answer) + "\n" + `{"messages":[`, dataset.Options{}, `file "a.jsonl", row 2: it is cut off in the middle of a row; fetch or write the file again`},
		"a document that is cut off":              {"a.json", "[" + chat(user, answer) + ",", dataset.Options{}, `file "a.json", row 2: it is cut off in the middle of a row; fetch or write the file again`},
		"two objects on a line":                   {"a.jsonl", `{"text":"a"}` + "\n" + `{"text":"a"}{"text":"b"}`, dataset.Options{}, `file "a.jsonl", row 2: it is not valid JSON: there is more than one value on the line; write one object a line, or a list of objects, in UTF-8`},
		"unknown columns":                         {"a.jsonl", `{"question":"q","answer":"a"}`, dataset.Options{}, `file "a.jsonl", row 1: none of the columns "answer", "question" is known; to train on these, set DatasetConfig.context_column to "question" and DatasetConfig.response_column to "answer" in the training configuration`},
		"columns nearly right":                    {"a.csv", "mesages\nx\n", dataset.Options{}, `file "a.csv": none of the columns "mesages" is known; did you mean "messages" by "mesages"? Rename the column, or name it in DatasetConfig of the training configuration`},
		"a configured column that is not there":   {"a.jsonl", `{"body":"x"}`, dataset.Options{MessagesColumn: "chat"}, `file "a.jsonl", row 1: there is no column "chat"; it has "body"; set DatasetConfig.messages_column of the training configuration to one of them`},
		"a CSV row with too many cells":           {"a.csv", "text,id\na,1\nb,2,3\n", dataset.Options{}, `file "a.csv", row 2: it has another number of cells than the header, which names "id", "text"; put text with commas, quotes or line breaks in quotes`},
		"a CSV row with a stray quote":            {"a.csv", "text\na\nb \"c\" d\n", dataset.Options{}, `file "a.csv", row 2: line 3 is not CSV: bare " in non-quoted-field; write a quote inside quoted text as ""`},
		"a number as text":                        {"a.jsonl", `{"text":7}`, dataset.Options{}, `file "a.jsonl", row 1, column "text": it is a number or a boolean, not text; write text into this column`},
		"text that is not UTF-8":                  {"a.csv", "text\n\xff\xfe\n", dataset.Options{}, `file "a.csv", row 1, column "text": it is not UTF-8; convert the file to UTF-8`},
		"a NUL":                                   {"a.jsonl", `{"text":"a\u0000b"}`, dataset.Options{}, `file "a.jsonl", row 1, column "text": it holds a NUL character; remove it: files of another kind are often mistaken for text`},
		"messages that are no list":               {"a.jsonl", `{"messages":{"role":"user"}}`, dataset.Options{}, `file "a.jsonl", row 1, column "messages": it is an object, not a list of turns; write [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]`},
		"messages that are words":                 {"a.csv", "messages\nhello\n", dataset.Options{}, `file "a.csv", row 1, column "messages": it is text, and not a list of turns in JSON; write [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]`},
		"a turn that is text":                     {"a.jsonl", chat(`"hello"`), dataset.Options{}, `file "a.jsonl", row 1, column "messages[0]": the turn is text, not an object; write {"role": "user", "content": "…"}`},
		"a turn without a role":                   {"a.jsonl", chat(`{"speaker":"user","text":"q"}`), dataset.Options{}, `file "a.jsonl", row 1, column "messages[0]": the turn has no role; it has "speaker", "text"; give each turn role and content, or from and value`},
		"a role nearly right":                     {"a.jsonl", chat(user, `{"role":"asistant","content":"a"}`), dataset.Options{}, `file "a.jsonl", row 1, column "messages[1]": the role "asistant" is not known; did you mean "assistant"?`},
		"a role that does not exist":              {"a.jsonl", chat(user, `{"role":"narrator","content":"a"}`), dataset.Options{}, `file "a.jsonl", row 1, column "messages[1]": the role "narrator" is not known; use system, user and assistant`},
		"a call of a tool":                        {"a.jsonl", chat(user, `{"role":"tool","content":"a"}`), dataset.Options{}, `file "a.jsonl", row 1, column "messages[1]": the role "tool" belongs to calls of tools, which cannot be trained on yet; leave such conversations out`},
		"a picture":                               {"a.jsonl", chat(`{"role":"user","content":[{"type":"image"}]}`, answer), dataset.Options{}, `file "a.jsonl", row 1, column "messages[0]": the turn has a part of type "image"; train on text only: leave pictures and sound out`},
		"an answer that is a number":              {"a.jsonl", chat(user, `{"role":"assistant","content":7}`), dataset.Options{}, `file "a.jsonl", row 1, column "messages[1]": it is a number or a boolean, not text; write text into this column`},
		"an answer first":                         {"a.jsonl", chat(answer, user), dataset.Options{}, `file "a.jsonl", row 1, column "messages[0]": the turn is of the assistant, where one of the user belongs; let user and assistant take turns, the user first`},
		"two questions":                           {"a.jsonl", chat(user, user, answer), dataset.Options{}, `file "a.jsonl", row 1, column "messages[1]": the turn is of the user, where one of the assistant belongs; let user and assistant take turns, the user first`},
		"no answer":                               {"a.jsonl", chat(user), dataset.Options{}, `file "a.jsonl", row 1, column "messages": the conversation does not end with a turn of the assistant; end each conversation with the answer that is to be learned`},
		"only a system turn":                      {"a.jsonl", chat(system), dataset.Options{}, `file "a.jsonl", row 1, column "messages": the conversation does not end with a turn of the assistant; end each conversation with the answer that is to be learned`},
		"a system turn in the middle":             {"a.jsonl", chat(user, answer, system), dataset.Options{}, `file "a.jsonl", row 1, column "messages[2]": a system turn stands behind others; put it first`},
		"a prompt of turns for an answer of text": {"a.jsonl", `{"prompt":[` + user + `],"completion":"a"}`, dataset.Options{}, `file "a.jsonl", row 1, column "completion": it is text and column "prompt" is a list; make both texts, or both lists of turns`},
		"a gzip that is cut off":                  {"a.jsonl.gz", gzipped(t, strings.Repeat(chat(user, answer)+"\n", 9))[:40], dataset.Options{}, `file "a.jsonl.gz": its compressed data cannot be read: unexpected EOF; the file is cut off or damaged: fetch or write it again`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := readAll(t, tc.options, inMemory(tc.file, tc.text))
			var wrong *dataset.Error
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(tc.want, wrong.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestABadRowIsFoundHoweverFarItIs(t *testing.T) {
	t.Parallel()
	good := inMemory("a.jsonl", strings.Repeat(chat(user, answer)+"\n", 900))
	for file, text := range map[string]string{
		"b.jsonl": strings.Repeat(chat(user, answer)+"\n", 4710) + chat(user) + "\n" + chat(user, answer),
		"b.json":  "[" + strings.Repeat(chat(user, answer)+",\n", 4710) + chat(user) + "]",
		"b.csv":   "messages\n" + strings.Repeat(quoted("["+user+","+answer+"]")+"\n", 4710) + quoted("["+user+"]") + "\n",
	} {
		_, _, err := readAll(t, dataset.Options{}, good, inMemory(file, text))
		want := fmt.Sprintf("file %q, row 4711, column \"messages\": the conversation does not end with a turn of the assistant", file)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func quoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

func TestEmptyRowsAreSkippedUpToATwentieth(t *testing.T) {
	t.Parallel()
	row := func(text string) string { return fmt.Sprintf(`{"prompt":"q","completion":%q}`, text) + "\n" }
	enough := strings.Repeat(row("a"), 57) + row("") + row(" \n") + `{"prompt":null,"completion":"a"}`
	rows, sum, err := readAll(t, dataset.Options{}, inMemory("a.jsonl", enough))
	if err != nil || len(rows) != 57 || sum.Rows != 57 || sum.EmptyRows != 3 || sum.DuplicateRows != 56 {
		t.Errorf("%+v, %v", sum, err)
	}
	if diff := cmp.Diff([]dataset.Place{{File: "a.jsonl", Row: 58}, {File: "a.jsonl", Row: 59}, {File: "a.jsonl", Row: 60}}, sum.FirstEmpty); diff != "" {
		t.Error(diff)
	}
	_, _, err = readAll(t, dataset.Options{}, inMemory("a.jsonl", enough+"\n"+row("")))
	if want := `file "a.jsonl", row 58: 4 of 61 rows are empty, more than 5 %; this is the first`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	for name, text := range map[string]string{
		"an empty list":                `{"messages":[]}`,
		"null":                         `{"messages":null}`,
		"an empty answer":              chat(user, `{"role":"assistant","content":""}`),
		"an answer of null":            chat(user, `{"role":"assistant","content":null}`),
		"an empty question":            chat(`{"role":"user","content":" "}`, answer),
		"an empty system turn is none": chat(`{"role":"system","content":""}`, user, answer),
	} {
		_, sum, err := readAll(t, dataset.Options{}, inMemory("a.jsonl", strings.Repeat(chat(user, answer)+"\n", 40)+text))
		if want := int64(1); err != nil || sum.EmptyRows != want && !strings.HasSuffix(name, "is none") {
			t.Errorf("%s: %+v, %v", name, sum, err)
		}
	}
}

func TestFilesOfOneDataSetHaveOneShapeAndOneDigest(t *testing.T) {
	t.Parallel()
	one, two := inMemory("a.jsonl", `{"text":"a"}`), inMemory("b.csv", "text\na\n")
	_, sum, err := readAll(t, dataset.Options{}, one, two)
	if err != nil || sum.DuplicateRows != 1 || sum.Bytes != 19 {
		t.Errorf("%+v, %v", sum, err)
	}
	_, other, err := readAll(t, dataset.Options{}, two, one)
	if err != nil || other.Digest == sum.Digest || !strings.HasPrefix(sum.Digest, "sha256:") {
		t.Errorf("digests %s and %s, %v", sum.Digest, other.Digest, err)
	}
	_, _, err = readAll(t, dataset.Options{}, one, inMemory("c.jsonl", chat(user, answer)))
	if want := `file "c.jsonl", row 1: its rows are of the shape messages, those of "a.jsonl" are text; use files of one shape in a data set`; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if _, _, err = readAll(t, dataset.Options{}); err == nil || !strings.HasPrefix(err.Error(), "there is no file") {
		t.Errorf("got %v", err)
	}
}

func TestAReadingEndsWithTheReceiversErrorOrTheContexts(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	text := strings.Repeat(`{"text":"a"}`+"\n", 3000)
	_, err := dataset.Read(t.Context(), []dataset.File{inMemory("a.jsonl", text)}, dataset.Options{}, func(dataset.Row) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = dataset.Read(ctx, []dataset.File{inMemory("a.jsonl", text)}, dataset.Options{}, func(dataset.Row) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	gone := dataset.File{Name: "x", Open: func(context.Context) (dataset.Handle, error) { return nil, fs.ErrNotExist }}
	if _, err = dataset.Read(t.Context(), []dataset.File{gone}, dataset.Options{}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
