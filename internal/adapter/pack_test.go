package adapter_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kaito.sh/kaito/internal/adapter"
	"kaito.sh/kaito/internal/adapter/adaptertest"
	"kaito.sh/kaito/internal/oci"
	"kaito.sh/kaito/internal/oci/registrytest"
)

func someNotes() adapter.Notes {
	return adapter.Notes{
		Model: "smollm2-135m-instruct", Base: adaptertest.Base, Revision: "7e27bd9", Run: "0123456789ab", Method: "qlora",
		Dataset: "sha256:aa", Rows: 100, Tokens: 5500, Steps: 150, Epochs: 3, FirstLoss: 4.1, LastLoss: 0.05,
	}
}

func pack(t *testing.T, dir string, n adapter.Notes) *adapter.Packed {
	t.Helper()
	p, err := adapter.Pack(t.Context(), dir, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// manifest reads the manifest of an image.
func manifest(t *testing.T, image oci.Image) v1.Manifest {
	t.Helper()
	var m v1.Manifest
	if err := json.Unmarshal(image.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// content reads a blob of an image.
func content(t *testing.T, b oci.Blob) []byte {
	t.Helper()
	in, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	raw, err := io.ReadAll(io.NewSectionReader(in, 0, b.Size))
	if err != nil || int64(len(raw)) != b.Size {
		t.Fatalf("%d of %d bytes: %v", len(raw), b.Size, err)
	}
	return raw
}

func TestPackedLayerIsTheArchiveThatTarWrites(t *testing.T) {
	t.Parallel()
	dir := adaptertest.Sound(t)
	p := pack(t, dir, someNotes())
	var want bytes.Buffer
	w := tar.NewWriter(&want)
	epoch := time.Unix(0, 0)
	write := func(h tar.Header, raw []byte) {
		h.ModTime, h.Size = epoch, int64(len(raw))
		if err := errors.Join(w.WriteHeader(&h), second(w.Write(raw))); err != nil {
			t.Fatal(err)
		}
	}
	config, weights := files(t)
	write(tar.Header{Typeflag: tar.TypeDir, Name: "data/", Mode: 0o755}, nil)
	write(tar.Header{Typeflag: tar.TypeReg, Name: "data/adapter_config.json", Mode: 0o644}, []byte(config))
	write(tar.Header{Typeflag: tar.TypeReg, Name: "data/adapter_model.safetensors", Mode: 0o644}, []byte(weights))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m := manifest(t, p.Image)
	if len(m.Layers) != 1 || m.Layers[0].MediaType != "application/vnd.oci.image.layer.v1.tar" || len(p.Image.Blobs) != 2 {
		t.Fatalf("manifest %s", p.Image.Manifest)
	}
	if got := content(t, p.Image.Blobs[0]); !bytes.Equal(got, want.Bytes()) {
		t.Errorf("the layer has %d bytes that differ from the %d of the archive", len(got), want.Len())
	}
	if p.Bytes != int64(len(config)+len(weights)) {
		t.Errorf("%d bytes", p.Bytes)
	}
}

func second(_ int, err error) error { return err }

func TestPackedImageSaysWhereItCameFrom(t *testing.T) {
	t.Parallel()
	p := pack(t, adaptertest.Sound(t), someNotes())
	want := map[string]string{
		"sh.kaito.model.name":                  "smollm2-135m-instruct",
		"sh.kaito.adapter.run-id":              "0123456789ab",
		"sh.kaito.adapter.base":                adaptertest.Base,
		"sh.kaito.adapter.base-revision":       "7e27bd9",
		"sh.kaito.adapter.method":              "qlora",
		"sh.kaito.adapter.digest":              p.Facts.Digest,
		"sh.kaito.adapter.rank":                "4",
		"sh.kaito.adapter.parameters":          "512",
		"sh.kaito.adapter.dataset-digest":      "sha256:aa",
		"sh.kaito.adapter.dataset-rows":        "100",
		"sh.kaito.adapter.dataset-tokens":      "5500",
		"sh.kaito.adapter.training-steps":      "150",
		"sh.kaito.adapter.training-epochs":     "3",
		"sh.kaito.adapter.training-first-loss": "4.1",
		"sh.kaito.adapter.training-last-loss":  "0.05",
	}
	if diff := cmp.Diff(want, manifest(t, p.Image).Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if again := pack(t, adaptertest.Sound(t), someNotes()); again.Image.Digest() != p.Image.Digest() {
		t.Errorf("%s and %s for the same adapter", p.Image.Digest(), again.Image.Digest())
	}
	bare := pack(t, adaptertest.Sound(t), adapter.Notes{Model: "m"})
	if got := manifest(t, bare.Image).Annotations["sh.kaito.adapter.dataset-rows"]; got != "" {
		t.Errorf("what is not known is said to be %q", got)
	}
}

func TestPackRefusesWhatNobodyCouldUse(t *testing.T) {
	t.Parallel()
	dir := adaptertest.Sound(t)
	if err := os.Truncate(filepath.Join(dir, adapter.WeightsFile), 2000); err != nil {
		t.Fatal(err)
	}
	var wrong *adapter.UnusableError
	if _, err := adapter.Pack(t.Context(), dir, adapter.Notes{}); !errors.As(err, &wrong) || wrong.File != adapter.WeightsFile {
		t.Errorf("got %v", err)
	}
}

// A file that shrinks after it was looked at must not become a layer of other bytes.
func TestPackedLayerEndsWhereItsFileIsCut(t *testing.T) {
	t.Parallel()
	dir := adaptertest.Sound(t)
	p := pack(t, dir, adapter.Notes{})
	if err := os.Truncate(filepath.Join(dir, adapter.WeightsFile), 1000); err != nil {
		t.Fatal(err)
	}
	in, err := p.Image.Blobs[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(io.NewSectionReader(in, 0, p.Image.Blobs[0].Size)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestPackedImageIsReadByOthersAndByUs(t *testing.T) {
	t.Parallel()
	d := registrytest.Start(t)
	dir, ref := adaptertest.Sound(t), d.Addr+"/team/harbour:1"
	p := pack(t, dir, someNotes())
	if _, err := oci.New(oci.Options{}).PushImage(t.Context(), p.Image, ref); err != nil {
		t.Fatal(err)
	}
	back := t.TempDir()
	got, _, err := pull(t, ref, back)
	if err != nil || got.Facts.Digest != p.Facts.Digest || got.Annotations[adapter.AnnotationRun] != "0123456789ab" {
		t.Fatalf("%+v, %v", got, err)
	}
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo, which reads the image as a foreign client, is not installed; hack/setup.sh installs it")
	}
	out := filepath.Join(t.TempDir(), "out")
	if text, err := exec.Command(skopeo, "copy", "--src-tls-verify=false", "docker://"+ref, "dir:"+out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	layer, err := os.Open(filepath.Join(out, manifest(t, p.Image).Layers[0].Digest.Hex))
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	var names []string
	for r := tar.NewReader(layer); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if diff := cmp.Diff([]string{"data/", "data/adapter_config.json", "data/adapter_model.safetensors"}, names); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	text, err := exec.Command(skopeo, "inspect", "--raw", "--tls-verify=false", "docker://"+ref).Output()
	if err != nil || !strings.Contains(string(text), `"sh.kaito.model.name":"smollm2-135m-instruct"`) {
		t.Errorf("%v\n%s", err, text)
	}
}
