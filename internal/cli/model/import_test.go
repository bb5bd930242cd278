package model

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/gguf/gguftest"
	"kaito.sh/kaito/internal/hub/hubtest"
	"kaito.sh/kaito/internal/modelfacts/factstest"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// ran is what a run of the command did.
type ran struct {
	out, err string
	failed   error
	naps     []time.Duration
}

// importing runs `kaito model import`.
func importing(t *testing.T, world shell.Shell, args ...string) ran {
	t.Helper()
	var r ran
	var stdout, stderr bytes.Buffer
	world.Name, world.Out, world.Err = "kaito", &stdout, &stderr
	world.Sleep = func(ctx context.Context, d time.Duration) error {
		r.naps = append(r.naps, d)
		return ctx.Err()
	}
	cmd := New(world)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"import"}, args...))
	r.failed = cmd.ExecuteContext(t.Context())
	r.out, r.err = stdout.String(), stderr.String()
	return r
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s; rewrite it with -update (-want +got):\n%s", path, diff)
	}
}

// place writes the files of a model into a folder with this name.
func place(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	for path, text := range files {
		at := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tinyFiles are a Llama of two layers as transformers writes it, with what others need beside it.
func tinyFiles() map[string]string {
	return map[string]string{
		"config.json": factstest.Llama, "README.md": "---\nlicense: apache-2.0\n---\n# tiny\n",
		"model.safetensors":    factstest.Weights(map[string][]int{"model.embed_tokens.weight": {32, 16}, "lm_head.weight": {32, 16}}),
		"original/params.json": "{}", "original/consolidated.00.pth": "a pickle", ".cache/x/y": "of a hub's client",
		"tokenizer_config.json": `{"chat_template": "{{ messages }}"}`,
	}
}

// The file is one that the catalog takes, and says where its facts are from and what to do next.
func TestAFolderIsImported(t *testing.T) {
	t.Parallel()
	dir := place(t, "Our_Model", tinyFiles())
	out := filepath.Join(t.TempDir(), "our-model.yaml")
	r := importing(t, shell.Shell{}, dir, "-o", out)
	if r.failed != nil {
		t.Fatal(r.failed)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "folder.yaml", string(raw))
	golden(t, "folder.txt", strings.NewReplacer(out, "our-model.yaml", dir, "./Our_Model").Replace(r.err))
	if m, err := catalog.Parse(raw); err != nil || m.ID != "our-model" || r.out != out+"\n" {
		t.Errorf("%v of model %q, printed %q", err, m.ID, r.out)
	}
	again := importing(t, shell.Shell{}, dir, "-o", out)
	if again.failed != nil {
		t.Errorf("the same once more: %v", again.failed)
	}
	if other := importing(t, shell.Shell{}, dir, "-o", out, "--id", "other"); other.failed == nil || !strings.Contains(other.failed.Error(), "holds something else") {
		t.Errorf("over another file: %v", other.failed)
	}
}

func TestAGGUFFileIsImported(t *testing.T) {
	t.Parallel()
	dir := place(t, "models", map[string]string{"Tiny_Llama.gguf": string(gguftest.Llama(1)), "other.gguf": "not asked for"})
	r := importing(t, shell.Shell{}, filepath.Join(dir, "Tiny_Llama.gguf"), "-o", "-")
	if r.failed != nil {
		t.Fatal(r.failed)
	}
	golden(t, "gguf.yaml", r.out)
	if r.err != "" {
		t.Errorf("said %q beside the file", r.err)
	}
}

func TestAModelOfAHubIsImportedAtItsCommit(t *testing.T) {
	t.Parallel()
	files := tinyFiles()
	delete(files, ".cache/x/y")
	large := map[string]string{"model.safetensors": files["model.safetensors"]}
	delete(files, "model.safetensors")
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/Tiny-Llama": {Files: files, Large: large, Private: true}})
	h.Fail("revision", hubtest.Fault{Status: 429, RetryAfter: "9"}, hubtest.Fault{Status: 503})
	out := filepath.Join(t.TempDir(), "tiny-llama.yaml")
	r := importing(t, shell.Shell{HubEndpoint: h.URL, HubToken: hubtest.Token}, "kaito/Tiny-Llama", "-o", out)
	if r.failed != nil {
		t.Fatal(r.failed)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "hub.yaml", strings.ReplaceAll(string(raw), h.URL, "https://hub.example.com"))
	golden(t, "hub.txt", strings.NewReplacer(out, "tiny-llama.yaml", strings.TrimPrefix(h.URL, "http://"), "hub.example.com").Replace(r.err))
	if diff := cmp.Diff([]time.Duration{9 * time.Second, 2 * time.Second}, r.naps); diff != "" {
		t.Errorf("naps (-want +got):\n%s", diff)
	}
	for _, a := range h.Asked() {
		if a.Store && a.Range == "" {
			t.Errorf("asked for all of %s", a.Path)
		}
	}
}

func TestWhatCannotBeImportedSaysWhatHelps(t *testing.T) {
	t.Parallel()
	bare := tinyFiles()
	delete(bare, "README.md")
	pickled := tinyFiles()
	delete(pickled, "model.safetensors")
	pickled["pytorch_model.bin"] = "a pickle"
	unconfigured := tinyFiles()
	delete(unconfigured, "config.json")
	pointers := tinyFiles()
	pointers["model.safetensors"] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	broken := tinyFiles()
	broken["config.json"] = `{"num_hidden_layers": NaN}`
	h := hubtest.Start(t, map[string]hubtest.Repository{"kaito/gated": {Files: map[string]string{"config.json": "{}"}, Large: map[string]string{"model.safetensors": "x"}, Gated: true}})
	world := shell.Shell{HubEndpoint: h.URL, HubToken: hubtest.Token}
	empty := filepath.Join(place(t, "t", map[string]string{"token": "\n"}), "token")
	for name, tc := range map[string]struct {
		args  []string
		usage bool
		want  string
	}{
		"nothing":                          {nil, true, "PATH or OWNER/NAME is missing"},
		"what is neither here nor there":   {[]string{"./nowhere"}, false, `"./nowhere" is no file or folder, and not owner/name of a hub`},
		"a model without a licence":        {[]string{place(t, "bare", bare)}, true, "names no licence: say with --licence ID"},
		"pickles":                          {[]string{place(t, "p", pickled)}, false, "but pickles, loading which can run code; it has README.md, config.json, original/consolidated.00.pth, original/params.json, pytorch_model.bin, tokenizer_config.json; if you trust whoever made them, --allow-pickles takes them"},
		"several GGUF files":               {[]string{place(t, "g", map[string]string{"a.gguf": "GGUF", "b.gguf": "GGUF"})}, false, "of which one must be named: a.gguf, b.gguf; say which with --file NAME"},
		"a file of another kind":           {[]string{filepath.Join(place(t, "s", tinyFiles()), "model.safetensors")}, false, "is no GGUF file; give the folder"},
		"a broken configuration":           {[]string{place(t, "b", broken)}, false, "config.json cannot be right: num_hidden_layers is NaN, not a whole number"},
		"an id that is no name of images":  {[]string{place(t, "i", tinyFiles()), "--id", "Our Model", "-o", "-"}, false, `id "Our Model" is not a lower-case image name`},
		"an empty folder":                  {[]string{t.TempDir()}, false, "has no weights, which are *.safetensors files beside a config.json, or one *.gguf; it has no file at all"},
		"weights without a configuration":  {[]string{place(t, "c", unconfigured)}, false, "put the config.json beside them that the model's source has"},
		"a file in no folder":              {[]string{place(t, "o", tinyFiles()), "-o", "/nonexistent/x.yaml"}, false, `there is no folder "/nonexistent": make it, or name another file with -o`},
		"pointers of Git LFS":              {[]string{place(t, "l", pointers)}, false, "a pointer of Git LFS stands where weights should; fetch them with git lfs pull"},
		"a network that is not there":      {[]string{"kaito/none", "--endpoint", gone.URL}, false, "; name a mirror with --endpoint or $HF_ENDPOINT, or import the folder or GGUF file of a model that was fetched elsewhere"},
		"a gated repository":               {[]string{"kaito/gated"}, false, "put a token of that account into a file that --token-file names, or into $HF_TOKEN"},
		"a repository that does not exist": {[]string{"kaito/none"}, false, "has no repository kaito/none"},
		"a hub that is none":               {[]string{"kaito/none", "--endpoint", "hub"}, false, `"hub" is not the address of a hub`},
		"a token file that is missing":     {[]string{"kaito/none", "--token-file", "/no/file"}, false, "read the token: open /no/file"},
		"a token file without a token":     {[]string{"kaito/none", "--token-file", empty}, false, "holds no token: one word is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := importing(t, world, tc.args...)
			var usage *shell.UsageError
			if r.failed == nil || !strings.Contains(r.failed.Error(), tc.want) || errors.As(r.failed, &usage) != tc.usage {
				t.Errorf("got %v, want one that says %q", r.failed, tc.want)
			}
		})
	}
}

// Links are followed within the folder alone: elsewhere is none of the model's business.
func TestALinkOutOfTheFolderIsRefused(t *testing.T) {
	t.Parallel()
	dir := place(t, "linked", tinyFiles())
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	r := importing(t, shell.Shell{}, dir)
	if r.failed == nil || !strings.Contains(r.failed.Error(), "leads nowhere or out of the folder") {
		t.Errorf("got %v", r.failed)
	}
}

// A file that is not called after its model still gets the key by which a catalog finds it; what
// no engine serves is not planned, and what cannot be an image is not packaged.
func TestWhatToDoNextFitsTheModel(t *testing.T) {
	t.Parallel()
	with := func(old, want string) map[string]string {
		files := tinyFiles()
		files["config.json"] = strings.Replace(factstest.Llama, old, want, 1)
		return files
	}
	pickled := tinyFiles()
	delete(pickled, "model.safetensors")
	pickled["pytorch_model.bin"] = strings.Repeat("pickle", 300)
	out := filepath.Join(t.TempDir(), "my facts.yaml")
	for name, tc := range map[string]struct {
		files       map[string]string
		args        []string
		want, never []string
	}{
		"a program of its own, and another file": {
			files: with(`"architectures": ["LlamaForCausalLM"]`, `"architectures": ["LlamaForCausalLM"], "auto_map": {"AutoModel": "odd.Odd"}`), args: []string{"-o", out},
			want: []string{"--from-file='odd.yaml=" + out + "'", `allows it by the annotation kaito.sh/trust-remote-code: "true"`, "model package"},
		},
		"no engine": {
			files: with("LlamaForCausalLM", "OddForCausalLM"),
			want:  []string{"has no code for OddForCausalLM: no engine serves these weights"}, never: []string{"Next", "kaito plan", "kaito model p", "kubectl"},
		},
		"pickles that were allowed": {
			files: pickled, args: []string{"--allow-pickles"},
			want: []string{"the weights are pickles", "no image is made of pickles", "kaito plan odd"}, never: []string{"kaito model p", "kubectl"},
		},
		"a context that nothing says": {
			files: with(`"max_position_embeddings": 256,`, ""), want: []string{"no file says how long the context is: vLLM takes 2048 tokens"},
		},
		"the name of a shipped model": {
			files: tinyFiles(), args: []string{"--id", "phi-4"},
			want: []string{"Kaito ships a model of this name, phi-4: where this file is used it stands before that; --id gives it a name of its own"},
		},
		"a licence in the other spelling": {files: tinyFiles(), args: []string{"--license", "MIT"}, want: []string{"--license MIT"}, never: []string{"Kaito ships"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.args == nil || tc.args[0] != "-o" {
				tc.args = append(tc.args, "-o", filepath.Join(t.TempDir(), "m.yaml"))
			}
			r := importing(t, shell.Shell{}, append([]string{place(t, "odd", tc.files)}, tc.args...)...)
			if r.failed != nil {
				t.Fatal(r.failed)
			}
			for _, want := range tc.want {
				if !strings.Contains(r.err, want) {
					t.Errorf("does not say %q:\n%s", want, r.err)
				}
			}
			for _, never := range tc.never {
				if strings.Contains(r.err, never) {
					t.Errorf("says %q:\n%s", never, r.err)
				}
			}
		})
	}
}
