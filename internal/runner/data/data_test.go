package data_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/runner/data"
	"kaito.sh/kaito/internal/runner/ending"
)

// chatML is the template that the catalog gives to the development model.
const chatML = `{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\n' -}}
{%- endif -%}
`

const (
	sources = "../../../runtimes/gate/src"
	model   = "../../../runtimes/gate/tests/model"
)

// python is the interpreter with the libraries of the gate image.
var python = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("../../../hack/python.sh").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "bin", "python"), err
})

// options are those of a pod, with folders of the test's own.
func options(t *testing.T, tune contract.Tune) data.Options {
	t.Helper()
	path, err := python()
	if err != nil {
		t.Fatalf("make the Python environment: %v", err)
	}
	src, err := filepath.Abs(sources)
	if err != nil {
		t.Fatal(err)
	}
	if tune.Model.MaxLength == 0 {
		tune.Model.MaxLength = 200
	}
	tune.Model.Context = 1000
	return data.Options{
		Tune: tune, Work: filepath.Join(t.TempDir(), "work"), Tokenizer: model,
		Python: []string{path, "-m", "kaito_gate.encode"}, Environ: []string{"PYTHONPATH=" + src, "PATH=" + os.Getenv("PATH")},
		Threads: 1, Stderr: t.Output(), Patience: 5 * time.Minute,
		Free:        func(string) (int64, error) { return 1 << 40, nil },
		Sleep:       func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		MemoryKills: func() int { return 0 }, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// served is a web server with files below /.
func served(t *testing.T, files map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := files[strings.TrimPrefix(r.URL.Path, "/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, text)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func fromWeb(urls ...string) contract.Tune {
	return contract.Tune{
		RunID: "0123456789ab", Model: contract.TuneModel{ChatTemplate: chatML},
		Input: contract.TuneInput{URLs: urls, AllowCIDRs: []string{"127.0.0.0/8"}},
	}
}

// chats are n rows of JSON lines.
func chats(n int, answer string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"messages":[{"role":"user","content":"Who pilots tug %d?"},{"role":"assistant","content":%q}]}`+"\n", i, answer)
	}
	return b.String()
}

func ended(t *testing.T, err error) *ending.Ending {
	t.Helper()
	var end *ending.Ending
	if !errors.As(err, &end) {
		t.Fatalf("%v is no ending", err)
	}
	return end
}

func TestARowIsCountedAndTrainedAsItWillBeServed(t *testing.T) {
	t.Parallel()
	url := served(t, map[string]string{"a.jsonl": chats(1, "Ada.")})
	o := options(t, fromWeb(url+"/a.jsonl?key=secret"))
	dir := t.TempDir()
	rows, summary := filepath.Join(dir, "rows.jsonl"), filepath.Join(dir, "summary.json")
	sum, err := data.Prepare(t.Context(), o, rows, summary)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(rows)
	if err != nil {
		t.Fatal(err)
	}
	var row contract.Row
	if err := json.Unmarshal(raw, &row); err != nil {
		t.Fatal(err)
	}
	vocabulary := words(t)
	text := func(ids []int32) string {
		var b strings.Builder
		for _, id := range ids {
			b.WriteString(vocabulary[id])
		}
		return strings.NewReplacer("Ġ", " ", "Ċ", "\n").Replace(b.String())
	}
	want := "<|im_start|>user\nWho pilots tug 0?<|im_end|>\n<|im_start|>assistant\nAda.<|im_end|>\n"
	if got := text(row.IDs); got != want {
		t.Errorf("the row is %q, want %q", got, want)
	}
	if len(row.Train) != 1 || text(row.IDs[row.Train[0][0]:row.Train[0][1]]) != "Ada.<|im_end|>" {
		t.Errorf("trained are %v of %q", row.Train, text(row.IDs))
	}
	if int(sum.Tokens) != len(row.IDs) || sum.LongestRow != len(row.IDs) || sum.Rows != 1 || sum.Files != 1 || sum.Format != "messages" ||
		int(sum.TrainedTokens) != row.Train[0][1]-row.Train[0][0] {
		t.Errorf("summary %+v", sum)
	}
	var kept contract.Dataset
	if raw, err = os.ReadFile(summary); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &kept); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sum, kept); diff != "" {
		t.Error(diff)
	}
	left, err := os.ReadDir(dir)
	if _, gone := os.Stat(o.Work); err != nil || len(left) != 2 || gone == nil {
		t.Errorf("left are %v, %v, %v", left, err, gone)
	}
}

// words are the tokens of the tests' model by id.
func words(t *testing.T) map[int32]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(model, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Model struct {
			Vocab map[string]int32 `json:"vocab"`
		} `json:"model"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		t.Fatal(err)
	}
	out := map[int32]string{}
	for word, id := range said.Model.Vocab {
		out[id] = word
	}
	return out
}

func TestThousandsOfRowsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	url := served(t, map[string]string{"a.jsonl": chats(3000, "Ada"), "b.jsonl": chats(2000, "Bo")})
	o := options(t, fromWeb(url+"/a.jsonl", url+"/b.jsonl"))
	rows := filepath.Join(t.TempDir(), "rows.jsonl")
	sum, err := data.Prepare(t.Context(), o, rows, rows+".json")
	if err != nil || sum.Rows != 5000 || sum.Files != 2 {
		t.Fatalf("%+v, %v", sum, err)
	}
	raw, err := os.ReadFile(rows)
	if err != nil {
		t.Fatal(err)
	}
	vocabulary := words(t)
	for i, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		var row contract.Row
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, id := range row.IDs {
			b.WriteString(vocabulary[id])
		}
		if want := fmt.Sprintf("Ġtugġ%d?", i%3000); !strings.Contains(b.String(), strings.Replace(want, "ġ", "Ġ", 1)) {
			t.Fatalf("row %d is %q", i, b.String())
		}
	}
	o.Tune.Input.Digest = sum.Digest
	if again, err := data.Check(t.Context(), o); err != nil || !cmp.Equal(sum, again) {
		t.Errorf("the check finds %+v, %v", again, err)
	}
}

func TestWhatIsWrongWithTheDataIsToldWithFileAndRow(t *testing.T) {
	t.Parallel()
	long := chats(1, strings.Repeat("Who pilots the tug? ", 50))
	for name, tc := range map[string]struct {
		files  map[string]string
		paths  []string
		change func(*contract.Tune)
		reason ending.Reason
		says   []string
	}{
		"a role that does not exist, behind 4,710 good rows": {
			files:  map[string]string{"a.jsonl": chats(10, "Ada"), "b.jsonl": chats(4710, "Ada") + `{"messages":[{"role":"asistant","content":"x"}]}` + "\n"},
			paths:  []string{"a.jsonl", "b.jsonl"},
			reason: ending.DataInvalid, says: []string{`file "b.jsonl", row 4711`, `did you mean "assistant"`},
		},
		"too many long rows": {
			files: map[string]string{"a.jsonl": chats(5, "Ada") + long + chats(5, "Bo")}, paths: []string{"a.jsonl"},
			reason: ending.DataInvalid, says: []string{`file "a.jsonl", row 6: the row has `, "at most 200 are allowed", "1 row is of 11 too long", "TrainingArguments.max_length", "up to 1000"},
		},
		"long and empty rows together": {
			files: map[string]string{"a.jsonl": chats(28, "Ada") + long + chats(1, " ")}, paths: []string{"a.jsonl"},
			reason: ending.DataInvalid, says: []string{"row 29", "1 row is too long and 1 row is empty of 30, together more than 5 %"},
		},
		"a template that refuses a row before another that is wrong": {
			files: map[string]string{"a.jsonl": chats(1, "Ada") + chats(1, "no") + chats(1, "Ada") + "{\n"}, paths: []string{"a.jsonl"},
			change: func(c *contract.Tune) {
				c.Model.ChatTemplate = "{% if messages[-1].content == 'no' %}{{ raise_exception('not that') }}{% endif %}" + chatML
			},
			reason: ending.DataInvalid, says: []string{`file "a.jsonl", row 2: the model's chat template refuses it: not that`},
		},
		"a template that cannot be trained with": {
			files: map[string]string{"a.jsonl": chats(1, "Ada")}, paths: []string{"a.jsonl"},
			change: func(c *contract.Tune) { c.Model.ChatTemplate = "{{ messages|length }}" + chatML },
			reason: ending.DataInvalid, says: []string{"row 1", "cannot be trained with: it asks for turn 2"},
		},
		"a template that is none": {
			files: map[string]string{"a.jsonl": chats(1, "Ada")}, paths: []string{"a.jsonl"},
			change: func(c *contract.Tune) { c.Model.ChatTemplate = "{% for %}" },
			reason: ending.WeightsUnusable, says: []string{"chat template cannot be read"},
		},
		"a file that is cut off": {
			files: map[string]string{"a.parquet": "PAR1xxxxxxxx"}, paths: []string{"a.parquet"},
			reason: ending.DataInvalid, says: []string{`"a.parquet"`, "cut off or damaged"},
		},
		"a file that does not exist": {paths: []string{"none.jsonl"}, reason: ending.DataNotFound, says: []string{"/none.jsonl (404 Not Found)"}},
		"an address inside": {
			files: map[string]string{"a.jsonl": chats(1, "Ada")}, paths: []string{"a.jsonl"},
			change: func(c *contract.Tune) { c.Input.AllowCIDRs = nil },
			reason: ending.DataRefused, says: []string{"127.0.0.1, an address inside of the cluster", "fetch.allowCIDRs"},
		},
		"columns that the configuration names and the file lacks": {
			files: map[string]string{"a.jsonl": `{"question":"q","anser":"a"}`}, paths: []string{"a.jsonl"},
			change: func(c *contract.Tune) {
				c.Settings = contract.Settings{"DatasetConfig": {"context_column": "question", "response_column": "answer", "messages_column": nil}}
			},
			reason: ending.DataInvalid, says: []string{`there is no column "answer"`, `did you mean "anser"`},
		},
		"other data than was checked": {
			files: map[string]string{"a.jsonl": chats(1, "Ada")}, paths: []string{"a.jsonl"},
			change: func(c *contract.Tune) { c.Input.Digest = "sha256:0000" },
			reason: ending.DataChanged, says: []string{"sha256:0000"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := served(t, tc.files)
			tune := fromWeb()
			for _, p := range tc.paths {
				tune.Input.URLs = append(tune.Input.URLs, url+"/"+p)
			}
			if tc.change != nil {
				tc.change(&tune)
			}
			dir := t.TempDir()
			_, err := data.Prepare(t.Context(), options(t, tune), filepath.Join(dir, "rows"), filepath.Join(dir, "summary"))
			end := ended(t, err)
			if end.Reason != tc.reason || end.Code() != ending.CodeConfig {
				t.Fatalf("%s, exit %d: %s", end.Reason, end.Code(), end.Message)
			}
			for _, want := range tc.says {
				if !strings.Contains(end.Message, want) {
					t.Errorf("%q does not say %q", end.Message, want)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left are %v, %v", left, err)
			}
		})
	}
}

func TestWhatIsSkippedIsNoted(t *testing.T) {
	t.Parallel()
	rows := chats(40, "Ada") + chats(1, strings.Repeat("Who pilots the tug? ", 50)) + chats(1, "Ada") + chats(1, "") + chats(5, "Bo")
	url := served(t, map[string]string{"a.jsonl": rows})
	sum, err := data.Check(t.Context(), options(t, fromWeb(url+"/a.jsonl")))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(sum.Rows, sum.EmptyRows, sum.LongRows, sum.DuplicateRows)
	if got != "46 1 1 1" {
		t.Errorf("rows %s", got)
	}
	for i, want := range []string{
		`1 row is empty and skipped; the first is row 43 of "a.jsonl"`,
		`1 row is longer than 200 tokens and skipped; the first is row 41 of "a.jsonl" with `,
		`1 row is the same as one before and used all the same`,
	} {
		if i >= len(sum.Notes) || !strings.HasPrefix(sum.Notes[i], want) {
			t.Errorf("notes %q, want %q", sum.Notes, want)
		}
	}
}

func TestAVolumeIsReadAndItsOtherFilesAreNoted(t *testing.T) {
	t.Parallel()
	tune := fromWeb()
	tune.Input = contract.TuneInput{Volume: true}
	o := options(t, tune)
	o.Input = t.TempDir()
	for name, text := range map[string]string{
		"train/b.jsonl": chats(2, "Ada"), "train/a.jsonl": chats(3, "Bo"), "README.md": "words", ".hidden.jsonl": "{", "dataset_info.json": "{}",
	} {
		path := filepath.Join(o.Input, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(o.Input, "outside.jsonl")); err != nil {
		t.Fatal(err)
	}
	sum, err := data.Check(t.Context(), o)
	if err != nil || sum.Files != 2 || sum.Rows != 5 {
		t.Fatalf("%+v, %v", sum, err)
	}
	want := []string{"Files that are no data by their names are left out: README.md, dataset_info.json, outside.jsonl"}
	if diff := cmp.Diff(want, sum.Notes); diff != "" {
		t.Error(diff)
	}
}

func TestATokenizerThatGoesWrongIsTold(t *testing.T) {
	t.Parallel()
	url := served(t, map[string]string{"a.jsonl": chats(2000, "Ada")})
	for name, tc := range map[string]struct {
		change func(*data.Options)
		reason ending.Reason
		code   int
		says   string
	}{
		"one that cannot be started":    {func(o *data.Options) { o.Python = []string{"/nonexistent/python"} }, ending.EngineNotStarted, 2, "cannot be started"},
		"one that ends at once":         {func(o *data.Options) { o.Python = []string{"false"} }, ending.Internal, 1, "The tokenizer ended"},
		"one that ends later":           {func(o *data.Options) { o.Python = dying(o.Python, "sys.exit(3)") }, ending.Internal, 1, "The tokenizer ended"},
		"one that is killed for memory": {func(o *data.Options) { o.Python = dying(o.Python, "os.kill(os.getpid(), 9)"); o.MemoryKills = kills() }, ending.OutOfMemory, 2, "memory"},
		"one that does not answer":      {func(o *data.Options) { o.Python = dying(o.Python, "time.sleep(600)"); o.Patience = time.Second }, ending.DataInvalid, 2, "longer than 1s"},
		"a model without its file":      {func(o *data.Options) { o.Tokenizer = t.TempDir() }, ending.WeightsUnusable, 2, "has no tokenizer.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, fromWeb(url+"/a.jsonl"))
			tc.change(&o)
			_, err := data.Check(t.Context(), o)
			end := ended(t, err)
			if end.Reason != tc.reason || end.Code() != tc.code || !strings.Contains(end.Message, tc.says) {
				t.Errorf("%s, exit %d: %s", end.Reason, end.Code(), end.Message)
			}
		})
	}
}

// dying is a child that answers the first question and then does something else.
func dying(python []string, then string) []string {
	return []string{python[0], "-c", `
import os, sys, time
from kaito_gate import frames
frames.read(sys.stdin.buffer)
frames.write(sys.stdout.buffer, {"templated": True})
frames.read(sys.stdin.buffer)
` + then}
}

func kills() func() int {
	n := -1
	return func() int { n++; return n }
}

func TestAStopEndsAReading(t *testing.T) {
	t.Parallel()
	url := served(t, map[string]string{"a.jsonl": chats(20000, "Ada")})
	ctx, cancel := context.WithCancel(t.Context())
	o := options(t, fromWeb(url+"/a.jsonl"))
	rows := filepath.Join(t.TempDir(), "rows")
	o.Python = dying(o.Python, "time.sleep(600)")
	timer := time.AfterFunc(time.Second, cancel)
	defer timer.Stop()
	if _, err := data.Prepare(ctx, o, rows, rows+".json"); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}
