package modelimage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/gguf/gguftest"
)

func TestGGUFFacts(t *testing.T) {
	t.Parallel()
	got, err := readGGUF(write(t, gguftest.Sound().Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	want := Facts{
		Form: FormGGUF, Architecture: "llama", Parameters: 64, Context: 128, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 16,
		Hidden: 64, Vocabulary: 3, Quantization: "F32", WeightsBytes: 256, File: "m.gguf", License: "Apache-2.0",
		ChatTemplate: digestOf("{{ messages }}"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

func write(t *testing.T, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGGUFIsRefused(t *testing.T) {
	t.Parallel()
	sound, adapter := gguftest.Sound().Bytes(), gguftest.Sound()
	adapter.Keys = append(adapter.Keys, gguftest.Key{Name: "general.type", Kind: 8, Value: "adapter"})
	for name, tc := range map[string]struct {
		raw  []byte
		want string
	}{
		"when it is cut off":               {sound[:100], "not a sound GGUF file: at byte"},
		"when llama.cpp would not load it": {adapter.Bytes(), `not a GGUF model that llama.cpp would load: it is of type "adapter"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := readGGUF(write(t, tc.raw))
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a refusal that says %q", err, tc.want)
			}
		})
	}
}

func TestOnePartOfASplitModelIsRefused(t *testing.T) {
	t.Parallel()
	_, err := readGGUF("big-00001-of-00003.gguf")
	if err == nil || !strings.Contains(err.Error(), "llama-gguf-split --merge") {
		t.Errorf("got %v", err)
	}
}
