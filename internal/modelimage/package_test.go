package modelimage

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/gguf/gguftest"
	"kaito.sh/kaito/internal/licence"
)

// layerFiles untars every layer of a layout, checking blob names against content.
func layerFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	image, _, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range image.Files {
		raw, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(f.Digest, "sha256:")))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(raw); "sha256:"+hex.EncodeToString(sum[:]) != f.Digest {
			t.Errorf("%s: the blob is not what its name says", f.Path)
		}
		r := tar.NewReader(bytes.NewReader(raw))
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if "/"+h.Name != f.Path || h.Mode != 0o644 || h.Uid != 0 || !h.ModTime.Equal(h.ModTime.Truncate(0)) || h.ModTime.Unix() != 0 {
			t.Errorf("header %+v of %s", h, f.Path)
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: more than one file in a layer: %v", f.Path, err)
		}
		out[h.Name] = string(text)
	}
	return out
}

func TestPackageAFolder(t *testing.T) {
	t.Parallel()
	files := soundFolder()
	out := filepath.Join(t.TempDir(), "out")
	o := Options{Path: writeFolder(t, files), Name: "org/tiny", Out: out, Source: "https://example.com/tiny", Revision: "abc"}
	first, err := Package(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"model/LICENSE": files["LICENSE.txt"]}
	for _, name := range []string{"README.md", "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json", "tokenizer_config.json"} {
		want["model/"+name] = files[name]
	}
	if diff := cmp.Diff(want, layerFiles(t, out)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	image, digest, err := Inspect(out)
	if err != nil || digest != first.Digest.String() {
		t.Errorf("inspected %s, %v; packaged %s", digest, err, first.Digest)
	}
	if diff := cmp.Diff(first.Image, image); diff != "" {
		t.Errorf("image (-packaged +inspected):\n%s", diff)
	}
	if f := image.Facts; f.Name != "org/tiny" || f.License != "MIT" || f.Source != o.Source || f.Revision != "abc" {
		t.Errorf("facts %+v", f)
	}
	second, err := Package(t.Context(), Options{
		Path: writeFolder(t, files), Name: "org/tiny", Out: filepath.Join(t.TempDir(), "b"), Source: o.Source, Revision: "abc",
	})
	if err != nil || second.Digest != first.Digest {
		t.Errorf("the same input gave %s and %s, %v", first.Digest, second.Digest, err)
	}
	again, err := Package(t.Context(), o)
	if err != nil || !again.Unchanged || first.Unchanged {
		t.Errorf("unchanged: first %v, again %v, %v", first.Unchanged, again.Unchanged, err)
	}
}

// Large enough for direct writes, and not a whole number of blocks.
func TestPackageALargeFile(t *testing.T) {
	t.Parallel()
	f := gguftest.Sound()
	f.Tensors[0].Dims, f.Data = []uint64{(9<<20 + 12) / 4}, 9<<20+12
	path := write(t, f.Bytes())
	out := filepath.Join(t.TempDir(), "out")
	var last Progress
	r, err := Package(t.Context(), Options{Path: path, Name: "m", Out: out, Report: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := layerFiles(t, out)["model/m.gguf"]; got != string(raw) {
		t.Errorf("the layer holds %d bytes, the file %d, or others", len(got), len(raw))
	}
	if last.Done != last.Total || last.Total != int64(len(raw)) {
		t.Errorf("progress ended at %+v of a file of %d", last, len(raw))
	}
	if left, _ := filepath.Glob(out + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if r.Image.Facts.File != "m.gguf" {
		t.Errorf("facts %+v", r.Image.Facts)
	}
}

func TestLicences(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "LICENSE")
	if err := os.WriteFile(text, []byte("Our own terms.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	bare := gguftest.Sound()
	bare.Keys[1].Name = "general.other"
	for name, tc := range map[string]struct {
		model   gguftest.File
		o       Options
		license string
		reason  string
		refused string
	}{
		"the model's own word":                {model: gguftest.Sound(), license: "Apache-2.0"},
		"its word and a text":                 {model: gguftest.Sound(), o: Options{LicenseFile: text}, license: "Apache-2.0"},
		"a text that nobody knows":            {model: bare, o: Options{LicenseFile: text}, license: "LicenseRef-LICENSE"},
		"a text and an id":                    {model: bare, o: Options{LicenseFile: text, License: "LicenseRef-ours"}, license: "LicenseRef-ours"},
		"an id alone":                         {model: bare, o: Options{License: "mit"}, license: "MIT"},
		"none, with a reason":                 {model: bare, o: Options{NoLicense: "our own"}, reason: "our own"},
		"none, without one":                   {model: bare, refused: "the model names no licence"},
		"none, although the model has one":    {model: gguftest.Sound(), o: Options{NoLicense: "our own"}, refused: "says that its licence is Apache-2.0"},
		"a text that is not there":            {model: bare, o: Options{LicenseFile: text + "x"}, refused: "open licence"},
		"a text that is a device without end": {model: bare, o: Options{LicenseFile: "/dev/zero"}, refused: "which no licence has"},
		"a text that is empty":                {model: bare, o: Options{LicenseFile: "/dev/null"}, refused: "is an empty licence"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.o.Path, tc.o.Name, tc.o.Out = write(t, tc.model.Bytes()), "m", filepath.Join(t.TempDir(), "out")
			r, err := Package(t.Context(), tc.o)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("got %v, want it to say %q", err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if f := r.Image.Facts; f.License != tc.license || f.NoLicense != tc.reason {
				t.Errorf("licence %q, reason %q", f.License, f.NoLicense)
			}
			if _, carried := layerFiles(t, tc.o.Out)["model/LICENSE"]; carried != (tc.o.LicenseFile != "") {
				t.Errorf("licence text carried: %v", carried)
			}
		})
	}
}

func TestPackageRefuses(t *testing.T) {
	t.Parallel()
	full := writeFolder(t, map[string]string{"precious": "x"})
	odd := filepath.Join(t.TempDir(), "a b.gguf")
	if err := os.WriteFile(odd, gguftest.Sound().Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		o    Options
		want string
	}{
		"an odd name":                  {Options{Name: "a b"}, "is no model name"},
		"a model that is not there":    {Options{Path: "/nonexistent/m.gguf"}, "no such file"},
		"an odd file name":             {Options{Path: odd}, "has a name that we do not carry"},
		"a single safetensors file":    {Options{Path: filepath.Join(writeFolder(t, map[string]string{"m.safetensors": "x"}), "m.safetensors")}, "give the folder"},
		"an output that is not ours":   {Options{Out: full}, "holds no OCI image layout"},
		"an output that is a file":     {Options{Out: odd}, "look at --out"},
		"an output that has no parent": {Options{Out: "/proc/nothing/here"}, "create layout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := tc.o
			if o.Name == "" {
				o.Name = "m"
			}
			if o.Path == "" {
				o.Path = write(t, gguftest.Sound().Bytes())
			}
			if o.Out == "" {
				o.Out = filepath.Join(t.TempDir(), "out")
			}
			if _, err := Package(t.Context(), o); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(full, "precious")); err != nil {
		t.Errorf("a folder of the user's was touched: %v", err)
	}
}

func TestACutPackageLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Package(ctx, Options{Path: write(t, gguftest.Sound().Bytes()), Name: "m", Out: filepath.Join(dir, "out")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAFileThatChangesIsRefused(t *testing.T) {
	t.Parallel()
	for _, real := range []int{99, 101, 5 << 20} {
		m := member{name: "x", size: 100, open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(make([]byte, real))), nil
		}}
		_, _, err := writeLayer(t.Context(), io.Discard, m, func(int64) {})
		if err == nil || !strings.Contains(err.Error(), "changed while it was packaged") {
			t.Errorf("%d bytes instead of 100: %v", real, err)
		}
	}
}

func TestAWriterThatFailsEndsThePipe(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	m := member{name: "x", size: 64 << 20, open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(make([]byte, 64<<20))), nil
	}}
	if _, _, err := writeLayer(t.Context(), failing{full}, m, func(int64) {}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestFactsSurviveTheirAnnotations(t *testing.T) {
	t.Parallel()
	f := Facts{
		Name: "m", Form: FormHF, Architecture: "X", Parameters: 1, Context: 2, Layers: 3, Heads: 4, KVHeads: 5, HeadDim: 6, Hidden: 7,
		Vocabulary: 8, Quantization: "F16", WeightsBytes: 9, File: "f", ChatTemplate: "sha256:x", License: "MIT", NoLicense: "n", Source: "s", Revision: "r",
	}
	got, ok, err := FactsOf(f.Annotations())
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if diff := cmp.Diff(f, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if _, ok, err := FactsOf(map[string]string{"org.opencontainers.image.title": "debian"}); ok || err != nil {
		t.Errorf("an ordinary image passes for a model: %v, %v", ok, err)
	}
	if _, _, err := FactsOf(map[string]string{Prefix + "layers": "many"}); err == nil {
		t.Error("annotations that are no numbers were taken")
	}
}

func TestLicenceTextsAreRecognised(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"  Apache License\n  Version 2.0, January 2004":                                              "Apache-2.0",
		"MIT License\n\nPermission is hereby granted, free of\ncharge, to any … without restriction": "MIT",
		"GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007":                                        "GPL-3.0-only",
		"LLAMA 3 COMMUNITY LICENSE AGREEMENT":                                                        licence.Unnamed,
	} {
		if got := licence.OfText([]byte(text)); got != want {
			t.Errorf("%.30q: got %s, want %s", text, got, want)
		}
	}
	for id, want := range map[string]string{"apache-2.0": "Apache-2.0", "MIT": "MIT", "llama3.2": "LicenseRef-llama3.2", "my terms!": "LicenseRef-my-terms", "": ""} {
		if got := licence.Of(id); got != want {
			t.Errorf("%q: got %s, want %s", id, got, want)
		}
	}
}

func ExampleFacts_Annotations() {
	fmt.Println(Facts{Name: "tiny", Form: FormGGUF, Layers: 2}.Annotations()["sh.kaito.model.layers"])
	// Output: 2
}
