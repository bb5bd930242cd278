package gguf

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/gguf/gguftest"
)

func TestFacts(t *testing.T) {
	t.Parallel()
	raw := gguftest.Sound().Bytes()
	got, err := Read(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	want := Facts{
		Architecture: "llama", Licence: "apache-2.0", Quantisation: "F32", Parameters: 64, TensorBytes: 256, Context: 128,
		Layers: 2, Heads: 4, KVHeads: 2, KeyWidth: 16, ValueWidth: 16, Hidden: 64, Vocabulary: 3, AttendingLayers: 2,
		ChatTemplate: "{{ messages }}", TiedEmbeddings: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

// The model that other tests serve is one: its header says what it is.
func TestATinyLlama(t *testing.T) {
	t.Parallel()
	raw := gguftest.Llama(1)
	got, err := Read(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	got.ChatTemplate = ""
	want := Facts{
		Architecture: "llama", Name: "a tiny random Llama", Licence: "mit", Quantisation: "F32", Parameters: got.Parameters, TensorBytes: got.Parameters * 4,
		Context: 512, Layers: 2, Heads: 4, KVHeads: 2, KeyWidth: 16, ValueWidth: 16, Hidden: 64, MLP: 128, Vocabulary: 269, AttendingLayers: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

func TestHeadersAreRefused(t *testing.T) {
	t.Parallel()
	with := func(change func(*gguftest.File)) []byte {
		f := gguftest.Sound()
		change(&f)
		return f.Bytes()
	}
	key := func(k gguftest.Key) []byte { return with(func(f *gguftest.File) { f.Keys = append(f.Keys, k) }) }
	sound := gguftest.Sound().Bytes()
	for name, tc := range map[string]struct {
		raw  []byte
		want string
	}{
		"when it is empty":                 {nil, "at byte 0: the magic needs 4 bytes"},
		"when it is something else":        {[]byte("PK\x03\x04 a zip"), `begins with "PK\x03\x04"`},
		"when it is big-endian":            {with(func(f *gguftest.File) { f.Version = 0x03000000 }), "big-endian"},
		"when it is of an unknown version": {with(func(f *gguftest.File) { f.Version = 9 }), "version 9"},
		"when it claims too many tensors":  {with(func(f *gguftest.File) { f.TensorCount = 1 << 60 }), "claims 1152921504606846976 tensors"},
		"when it claims too many keys":     {with(func(f *gguftest.File) { f.KeyCount = 1 << 60 }), "claims 1152921504606846976 metadata keys"},
		"when counts do not fit its size":  {with(func(f *gguftest.File) { f.KeyCount = 60000 }), "the header needs"},
		"when the header is cut off":       {sound[:100], "but the file ends after"},
		"when tensor data is cut off":      {sound[:len(sound)-1], `tensor "token_embd.weight" ends at byte`},
		"when a key appears twice":         {key(gguftest.Key{Name: "general.license", Kind: 8, Value: "mit"}), "appears twice"},
		"when a key is empty":              {key(gguftest.Key{Name: "", Kind: 8, Value: "mit"}), "is empty"},
		"when a number is NaN":             {key(gguftest.Key{Name: "llama.x", Kind: 6, Value: float32(math.NaN())}), "NaN, not a finite number"},
		"when a number is infinite":        {key(gguftest.Key{Name: "llama.x", Kind: 12, Value: math.Inf(1)}), "not a finite number"},
		"when a value has an unknown type": {key(gguftest.Key{Name: "llama.x", Kind: 77, Value: uint32(1)}), "unknown type 77"},
		"when the architecture is a number": {with(func(f *gguftest.File) {
			f.Keys[0] = gguftest.Key{Name: "general.architecture", Kind: 4, Value: uint32(1)}
		}), "it must be"},
		"when a shape's number is text": {with(func(f *gguftest.File) { f.Keys[3] = gguftest.Key{Name: "llama.block_count", Kind: 8, Value: "two"} }), "block_count"},
		"when it has absurdly many layers": {with(func(f *gguftest.File) {
			f.Keys[3] = gguftest.Key{Name: "llama.block_count", Kind: 4, Value: uint32(4e9)}
		}), "llama.block_count is 4000000000"},
		"when a list by layer is endless":      {key(gguftest.Key{Name: "llama.feed_forward_length", Kind: 9, Value: make([]string, maxLayers+1)}), "one for each layer"},
		"when alignment is not a power of two": {key(gguftest.Key{Name: "general.alignment", Kind: 4, Value: uint32(33)}), "general.alignment is 33"},
		"when it is an adapter":                {key(gguftest.Key{Name: "general.type", Kind: 8, Value: "adapter"}), `type "adapter"`},
		"when a tensor has no dimension": {with(func(f *gguftest.File) {
			f.Tensors[0].Dims = nil
			f.Tensors = append(f.Tensors, f.Tensors[0], f.Tensors[0])
		}), "claims 0 dimensions"},
		"when a tensor has an empty dimension":  {with(func(f *gguftest.File) { f.Tensors[0].Dims = []uint64{0} }), "dimension of 0"},
		"when a tensor is of an unknown type":   {with(func(f *gguftest.File) { f.Tensors[0].Kind = 4 }), "unknown type 4"},
		"when a row is no whole block":          {with(func(f *gguftest.File) { f.Tensors[0].Kind, f.Tensors[0].Dims = 3, []uint64{33} }), "not a multiple of 32"},
		"when a tensor is larger than any file": {with(func(f *gguftest.File) { f.Tensors[0].Dims = []uint64{1 << 40, 1 << 40} }), "larger than any file"},
		"when a tensor is not aligned":          {with(func(f *gguftest.File) { f.Tensors[0].Offset = 1 }), "not a multiple of 32"},
		"when a tensor lies behind the end":     {with(func(f *gguftest.File) { f.Tensors[0].Offset = 1 << 62 }), "it is cut off"},
		"when a string claims to be huge":       {append(sound[:24:24], bytes.Repeat([]byte{0xff}, 400)...), "a metadata key claims 18446744073709551615 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(bytes.NewReader(tc.raw), int64(len(tc.raw)))
			var wrong *Error
			var other *NotModelError
			if !errors.As(err, &wrong) && !errors.As(err, &other) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a refusal that says %q", err, tc.want)
			}
		})
	}
}

// What the guard lets pass, the library must survive.
func FuzzGGUF(f *testing.F) {
	sound := gguftest.Sound()
	f.Add(sound.Bytes())
	f.Add(sound.Bytes()[:200])
	sound.Keys = append(sound.Keys, gguftest.Key{Name: "general.alignment", Kind: 4, Value: uint32(64)}, gguftest.Key{Name: "x", Kind: 6, Value: float32(1)})
	f.Add(sound.Bytes())
	sound.Keys = append(sound.Keys, gguftest.Key{Name: "llama.feed_forward_length", Kind: 4, Value: uint32(128)})
	f.Add(sound.Bytes())
	f.Add([]byte("GGUF"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		facts, err := Read(bytes.NewReader(raw), int64(len(raw)))
		if err == nil && (facts.TensorBytes < 0 || facts.TensorBytes > int64(len(raw))) {
			t.Errorf("%d bytes of weights in a file of %d", facts.TensorBytes, len(raw))
		}
	})
}
