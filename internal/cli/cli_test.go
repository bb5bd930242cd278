package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"kaito.sh/kaito/internal/cli/shell"
	"kaito.sh/kaito/internal/oci"
)

// fake is a shell whose clock stands still and whose streams are kept.
type fake struct {
	shell.Shell
	out, err bytes.Buffer
	started  []string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{}
	dir := t.TempDir()
	f.Shell = shell.Shell{
		Name: "kaito", In: strings.NewReader(""), Out: &f.out, Err: &f.err,
		Now:        func() time.Time { return time.Unix(0, 0) },
		Sleep:      func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Executable: func() (string, error) { return filepath.Join(dir, "kaito"), nil },
		Exec: func(_ string, argv []string) error {
			f.started = argv
			return nil
		},
	}
	return f
}

func (f *fake) run(t *testing.T, args ...string) int {
	t.Helper()
	f.out.Reset()
	f.err.Reset()
	return Run(t.Context(), f.Shell, args)
}

// tinyGGUF is the smallest model that passes: one tensor of 8 values.
func tinyGGUF(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	le := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	text := func(s string) { le(uint64(len(s))); b.WriteString(s) }
	b.WriteString("GGUF")
	le(uint32(3))
	le(uint64(1))
	le(uint64(2))
	for _, kv := range [][2]string{{"general.architecture", "llama"}, {"general.license", "mit"}} {
		text(kv[0])
		le(uint32(8))
		text(kv[1])
	}
	text("token_embd.weight")
	le(uint32(1))
	le(uint64(8))
	le(uint32(0))
	le(uint64(0))
	b.Write(make([]byte, (32-b.Len()%32)%32+32))
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPackagePushPullInspect(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	ref := strings.TrimPrefix(server.URL, "http://") + "/kaito/models/tiny:gguf"
	f, model, dir := newFake(t), tinyGGUF(t), filepath.Join(t.TempDir(), "tiny.oci")

	if code := f.run(t, "model", "package", model, "--name", "tiny", "--out", dir); code != 0 {
		t.Fatalf("package ended with %d: %s", code, &f.err)
	}
	digest := strings.TrimSpace(f.out.String())
	if code := f.run(t, "model", "push", dir, ref); code != 0 {
		t.Fatalf("push ended with %d: %s", code, &f.err)
	}
	if got := strings.TrimSpace(f.out.String()); got != ref+"@"+digest {
		t.Errorf("push printed %q, want the reference with %s", got, digest)
	}
	for _, what := range []string{model, dir, ref} {
		for format, want := range map[string]string{"table": "architecture   llama", "json": `"architecture": "llama"`, "yaml": "architecture: llama"} {
			code := f.run(t, "model", "inspect", what, "-o", format)
			text := strings.Join(strings.Fields(f.out.String()), " ")
			if code != 0 || !strings.Contains(text, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("inspect -o %s of %s ended with %d: %s%s", format, what, code, &f.out, &f.err)
			}
		}
	}
	back := t.TempDir()
	if _, err := oci.New(oci.Options{}).Pull(t.Context(), ref, back); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := filepath.Glob(filepath.Join(back, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		if raw, _ := os.ReadFile(b); len(raw) >= 512+len(want) && bytes.Equal(raw[512:512+len(want)], want) {
			return
		}
	}
	t.Error("no pulled layer holds the bytes of the model")
}

func TestExitCodesAndErrors(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "broken.gguf")
	if err := os.WriteFile(text, []byte("GGUF"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		err  string
	}{
		"no argument shows help":           {nil, 0, ""},
		"version":                          {[]string{"version"}, 0, ""},
		"help of a verb":                   {[]string{"model", "push", "--help"}, 0, ""},
		"an unknown verb":                  {[]string{"models"}, 2, `kaito: unknown command "models", did you mean "model"?; see: kaito --help`},
		"an unknown verb of a verb":        {[]string{"model", "frobnicate"}, 2, `unknown command "frobnicate"; see: kaito model --help`},
		"an unknown flag":                  {[]string{"model", "push", "--no"}, 2, "unknown flag: --no; see: kaito model push --help"},
		"a missing argument":               {[]string{"model", "push", "x"}, 2, "REF is missing"},
		"an argument too many":             {[]string{"version", "x"}, 2, `unexpected argument "x"`},
		"a missing flag":                   {[]string{"model", "package", "x"}, 2, "--name is missing"},
		"an unknown format":                {[]string{"model", "inspect", "x", "-o", "xml"}, 2, "-o xml is not one of"},
		"the other spelling of a flag":     {[]string{"model", "package", "/nonexistent", "--name", "x", "--licence", "MIT"}, 1, "find model"},
		"a broken model":                   {[]string{"model", "inspect", text}, 1, "at byte 4: the version needs 4 bytes, but the file ends after 0 more"},
		"a reference without registry":     {[]string{"model", "inspect", "nothing"}, 1, "there is no such file or folder"},
		"credentials that are not there":   {[]string{"model", "push", "x", "h/r:t", "--docker-config", "/nonexistent"}, 1, "read credentials"},
		"a layout that is not there":       {[]string{"model", "push", "/nonexistent", "127.0.0.1:1/r:t"}, 1, "open image layout"},
		"chat without a Workspace":         {[]string{"chat"}, 2, "WORKSPACE is missing; see: kaito chat --help"},
		"chat with two":                    {[]string{"chat", "a", "b"}, 2, `unexpected argument "b"`},
		"chat with a Workspace and --url":  {[]string{"chat", "a", "--url", "http://h"}, 2, "WORKSPACE and --url exclude each other"},
		"chat with no address":             {[]string{"chat", "--url", "localhost:80"}, 2, `--url "localhost:80" is not an address like http://host:port`},
		"chat at a high temperature":       {[]string{"chat", "a", "--temperature", "3"}, 2, "--temperature 3 is not between 0 and 2"},
		"chat without a token":             {[]string{"chat", "a", "--max-tokens", "0"}, 2, "--max-tokens 0 is not 1 or more"},
		"chat with an empty message":       {[]string{"chat", "a", "-m", " "}, 2, "--message is empty"},
		"chat without a cluster":           {[]string{"chat", "a"}, 1, "no cluster is configured (no file is named): set KUBECONFIG"},
		"chat with a pipe that is empty":   {[]string{"chat", "--url", "http://127.0.0.1:1"}, 1, "standard input holds no question; for a conversation run kaito chat in a terminal, or pass --message"},
		"get in a format that is not":      {[]string{"get", "-o", "xml"}, 2, "-o xml is not one of table, wide, json and yaml"},
		"get a name everywhere":            {[]string{"get", "a", "-A"}, 2, "stands in one namespace"},
		"get here and everywhere":          {[]string{"get", "-n", "a", "-A"}, 2, "-A and -n exclude each other"},
		"watch a document":                 {[]string{"get", "-w", "-o", "json"}, 2, "--watch prints a table: leave out -o json"},
		"explain without a Workspace":      {[]string{"explain"}, 2, "WORKSPACE is missing"},
		"explain in a format that is not":  {[]string{"explain", "a", "-o", "yaml"}, 2, "-o yaml is not one of text and json"},
		"explain without a cluster":        {[]string{"explain", "a"}, 1, "for a cluster on this machine: kaito local up"},
		"tune without a verb of its own":   {[]string{"tune", "wach"}, 2, `unknown command "wach", did you mean "watch"?; see: kaito tune --help`},
		"watch no Workspace":               {[]string{"tune", "watch"}, 2, "WORKSPACE is missing; see: kaito tune watch --help"},
		"watch without a cluster":          {[]string{"tune", "watch", "a"}, 1, "no cluster is configured"},
		"report on no Workspace":           {[]string{"tune", "report", "-o", "x"}, 2, "WORKSPACE is missing"},
		"a local cluster that is not here": {[]string{"local", "up"}, 1, "build it with: make build"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			if code := f.run(t, tc.args...); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if !strings.Contains(f.err.String(), tc.err) || strings.Count(f.err.String(), "\n") > 1 {
				t.Errorf("printed %q, want one line that says %q", &f.err, tc.err)
			}
			if tc.code != 0 && f.out.Len() > 0 {
				t.Errorf("printed to standard output: %q", &f.out)
			}
		})
	}
}

func TestRegistryErrorsNameTheFlagThatHelps(t *testing.T) {
	t.Parallel()
	f, model, dir := newFake(t), tinyGGUF(t), filepath.Join(t.TempDir(), "tiny.oci")
	if code := f.run(t, "model", "package", model, "--name", "tiny", "--out", dir); code != 0 {
		t.Fatal(&f.err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	// A name that is not loopback, which the transport leads to the server.
	f.Transport = rewrite{strings.TrimPrefix(server.URL, "http://")}
	if code := f.run(t, "model", "push", dir, "10.9.9.9:5000/m:x"); code != 1 || !strings.Contains(f.err.String(), "allow it with --insecure") {
		t.Errorf("ended with %d: %s", code, &f.err)
	}
	if code := f.run(t, "model", "push", dir, "10.9.9.9:5000/m:x", "--insecure"); code != 0 {
		t.Errorf("ended with %d: %s", code, &f.err)
	}
}

func TestLocalBecomesItsSibling(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	self, err := f.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sibling := filepath.Join(filepath.Dir(self), "kaito-localcluster")
	elsewhere := filepath.Join(t.TempDir(), "kubectl-kaito")
	err = errors.Join(os.WriteFile(self, nil, 0o755), os.WriteFile(sibling, nil, 0o755), os.Symlink(self, elsewhere))
	if err != nil {
		t.Fatal(err)
	}
	// Called through a link, as kubectl's plugin, the sibling is beside the real program.
	f.Executable = func() (string, error) { return elsewhere, nil }
	if code := f.run(t, "local", "node", "add", "--help", "--name=x"); code != 0 {
		t.Fatal(&f.err)
	}
	if got, want := strings.Join(f.started, " "), sibling+" node add --help --name=x"; got != want {
		t.Errorf("started %q, want %q", got, want)
	}
}

func TestHelpSpeaksTheNameThatWasCalled(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.Name = NameOf("/usr/local/bin/kubectl-kaito")
	f.run(t, "model", "package", "--help")
	for _, want := range []string{"kubectl kaito model package PATH --name ID", "  kubectl kaito model package ./phi-4"} {
		if !strings.Contains(f.out.String(), want) {
			t.Errorf("help lacks %q:\n%s", want, &f.out)
		}
	}
	if got := NameOf("./bin/kaito"); got != "kaito" {
		t.Errorf("NameOf: %q", got)
	}
}

func TestEveryVerbHasHelpAndExamples(t *testing.T) {
	t.Parallel()
	for _, c := range New(newFake(t).Shell).Commands() {
		for _, x := range append(c.Commands(), c) {
			if x.Short == "" || x.Example == "" {
				t.Errorf("%q lacks a short text or an example", x.CommandPath())
			}
		}
	}
}
