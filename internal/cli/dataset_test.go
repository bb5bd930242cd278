package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDatasetCheckSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	const harbour = "../../examples/fine-tuning/data/harbour.parquet"
	f := newFake(t)
	if code := Run(t.Context(), f.Shell, []string{"dataset", "check", harbour}); code != 0 {
		t.Fatalf("exit %d: %s", code, &f.err)
	}
	for _, want := range []string{"FILE", harbour + "   parquet   120 ", "shape       messages\n", "rows        120 to train on\n", "empty       0\n", "duplicates  0\n", "digest      sha256:"} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &f.out)
		}
	}
	if f.err.Len() > 0 {
		t.Errorf("standard error has %q", &f.err)
	}
}

func TestDatasetCheckReadsFoldersAndAddresses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"a.jsonl": `{"text":"one"}`, "b.csv": "text\ntwo\n\"  \"\ntwo\n" + strings.Repeat("x\n", 30), "README.md": "words"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	f := newFake(t)
	if code := Run(t.Context(), f.Shell, []string{"dataset", "check", dir, server.URL + "/a.jsonl?key=hidden", "-o", "json"}); code != 0 {
		t.Fatalf("exit %d: %s", code, &f.err)
	}
	var got struct {
		Shape                          string
		Rows, EmptyRows, DuplicateRows int
		Files                          []struct{ Name, Format, SHA256 string }
	}
	if err := json.Unmarshal(f.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Shape != "text" || got.Rows != 34 || got.EmptyRows != 1 || got.DuplicateRows != 31 || len(got.Files) != 3 {
		t.Errorf("%+v", got)
	}
	if got.Files[1].Name != filepath.Join(dir, "b.csv") || got.Files[1].Format != "csv" || got.Files[2].Name != "a.jsonl" || got.Files[0].SHA256 != got.Files[2].SHA256 {
		t.Errorf("%+v", got.Files)
	}
	if want := "Left out because of their names: README.md\n"; f.err.String() != want {
		t.Errorf("standard error has %q", &f.err)
	}
}

func TestDatasetCheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.jsonl")
	good := `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}` + "\n"
	if err := os.WriteFile(bad, []byte(strings.Repeat(good, 4710)+`{"messages":[{"role":"usr","content":"q"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	for name, tc := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"a role in row 4,711":           {[]string{bad}, 1, []string{`file "` + bad + `", row 4711`, `did you mean "user"`}},
		"a file that is not there":      {[]string{filepath.Join(dir, "none.csv")}, 1, []string{"there is no file or folder"}},
		"a folder without data":         {[]string{t.TempDir()}, 1, []string{"no file whose name ends as parquet"}},
		"an address without a file":     {[]string{server.URL + "/x.json?key=hidden"}, 1, []string{"There is no file at " + server.URL + "/x.json (404 Not Found)"}},
		"a column that is not there":    {[]string{bad, "--messages-column", "chat"}, 1, []string{`there is no column "chat"`, `"messages"`}},
		"a format that does not exist":  {[]string{bad, "--format", "xml"}, 1, []string{`"xml" is no format`}},
		"no argument":                   {nil, 2, []string{"FILE, DIR or URL is missing; see: kaito dataset check --help"}},
		"an output that does not exist": {[]string{bad, "-o", "wide"}, 2, []string{"not one of table and json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			if code := Run(t.Context(), f.Shell, append([]string{"dataset", "check"}, tc.args...)); code != tc.code || f.out.Len() > 0 {
				t.Errorf("exit %d, want %d; standard output %q", code, tc.code, &f.out)
			}
			for _, want := range tc.says {
				if !strings.Contains(f.err.String(), want) {
					t.Errorf("%q does not say %q", &f.err, want)
				}
			}
			if strings.Contains(f.err.String(), "hidden") {
				t.Errorf("a key is shown: %q", &f.err)
			}
		})
	}
}
