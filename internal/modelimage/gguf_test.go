package modelimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ggufFile builds GGUF files, sound ones and others.
type ggufFile struct {
	magic   string
	version uint32
	keys    []ggufKey
	tensors []testTensor
	data    int
	// tensorCount and keyCount override the honest counts.
	tensorCount, keyCount uint64
}

type ggufKey struct {
	name  string
	kind  uint32
	value any
}

type testTensor struct {
	name   string
	dims   []uint64
	kind   uint32
	offset uint64
}

// soundGGUF is a llama model of one tensor with 64 values.
func soundGGUF() ggufFile {
	return ggufFile{
		magic: "GGUF", version: 3, data: 256,
		keys: []ggufKey{
			{"general.architecture", 8, "llama"},
			{"general.license", 8, "apache-2.0"},
			{"general.file_type", 4, uint32(0)},
			{"llama.block_count", 4, uint32(2)},
			{"llama.context_length", 4, uint32(128)},
			{"llama.embedding_length", 4, uint32(64)},
			{"llama.attention.head_count", 4, uint32(4)},
			{"llama.attention.head_count_kv", 4, uint32(2)},
			{"llama.rope.freq_base", 6, float32(10000)},
			{"tokenizer.ggml.tokens", 9, []string{"a", "b", "c"}},
			{"tokenizer.chat_template", 8, "{{ messages }}"},
		},
		tensors: []testTensor{{"token_embd.weight", []uint64{64}, 0, 0}},
	}
}

func (f ggufFile) bytes() []byte {
	var b bytes.Buffer
	le := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	text := func(s string) { le(uint64(len(s))); b.WriteString(s) }
	b.WriteString(f.magic)
	le(f.version)
	le(max(f.tensorCount, uint64(len(f.tensors))))
	le(max(f.keyCount, uint64(len(f.keys))))
	for _, k := range f.keys {
		text(k.name)
		le(k.kind)
		switch v := k.value.(type) {
		case string:
			text(v)
		case []string:
			le(uint32(8))
			le(uint64(len(v)))
			for _, s := range v {
				text(s)
			}
		default:
			le(v)
		}
	}
	for _, t := range f.tensors {
		text(t.name)
		le(uint32(len(t.dims)))
		le(t.dims)
		le(t.kind)
		le(t.offset)
	}
	b.Write(make([]byte, (32-b.Len()%32)%32+f.data))
	return b.Bytes()
}

func (f ggufFile) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, f.bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGGUFFacts(t *testing.T) {
	t.Parallel()
	got, err := readGGUF(soundGGUF().write(t))
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

func TestGGUFIsRefused(t *testing.T) {
	t.Parallel()
	with := func(change func(*ggufFile)) []byte {
		f := soundGGUF()
		change(&f)
		return f.bytes()
	}
	key := func(k ggufKey) []byte { return with(func(f *ggufFile) { f.keys = append(f.keys, k) }) }
	sound := soundGGUF().bytes()
	for name, tc := range map[string]struct {
		raw  []byte
		want string
	}{
		"when it is empty":                      {nil, "at byte 0: the magic needs 4 bytes"},
		"when it is something else":             {[]byte("PK\x03\x04 a zip"), `begins with "PK\x03\x04"`},
		"when it is big-endian":                 {with(func(f *ggufFile) { f.version = 0x03000000 }), "big-endian"},
		"when it is of an unknown version":      {with(func(f *ggufFile) { f.version = 9 }), "version 9"},
		"when it claims too many tensors":       {with(func(f *ggufFile) { f.tensorCount = 1 << 60 }), "claims 1152921504606846976 tensors"},
		"when it claims too many keys":          {with(func(f *ggufFile) { f.keyCount = 1 << 60 }), "claims 1152921504606846976 metadata keys"},
		"when counts do not fit its size":       {with(func(f *ggufFile) { f.keyCount = 60000 }), "the header needs"},
		"when the header is cut off":            {sound[:100], "but the file ends after"},
		"when tensor data is cut off":           {sound[:len(sound)-1], `tensor "token_embd.weight" ends at byte`},
		"when a key appears twice":              {key(ggufKey{"general.license", 8, "mit"}), "appears twice"},
		"when a key is empty":                   {key(ggufKey{"", 8, "mit"}), "is empty"},
		"when a number is NaN":                  {key(ggufKey{"llama.x", 6, float32(math.NaN())}), "NaN, not a finite number"},
		"when a number is infinite":             {key(ggufKey{"llama.x", 12, math.Inf(1)}), "not a finite number"},
		"when a value has an unknown type":      {key(ggufKey{"llama.x", 77, uint32(1)}), "unknown type 77"},
		"when the architecture is a number":     {with(func(f *ggufFile) { f.keys[0] = ggufKey{"general.architecture", 4, uint32(1)} }), "it must be"},
		"when a shape's number is text":         {with(func(f *ggufFile) { f.keys[3] = ggufKey{"llama.block_count", 8, "two"} }), "not a GGUF model that llama.cpp would load"},
		"when it has absurdly many layers":      {with(func(f *ggufFile) { f.keys[3] = ggufKey{"llama.block_count", 4, uint32(4e9)} }), "llama.block_count is 4000000000"},
		"when a list by layer is endless":       {key(ggufKey{"llama.feed_forward_length", 9, make([]string, maxGGUFLayers+1)}), "one for each layer"},
		"when alignment is not a power of two":  {key(ggufKey{"general.alignment", 4, uint32(33)}), "general.alignment is 33"},
		"when it is an adapter":                 {key(ggufKey{"general.type", 8, "adapter"}), `type "adapter"`},
		"when a tensor has no dimension":        {with(func(f *ggufFile) { f.tensors[0].dims = nil; f.tensors = append(f.tensors, f.tensors[0], f.tensors[0]) }), "claims 0 dimensions"},
		"when a tensor has an empty dimension":  {with(func(f *ggufFile) { f.tensors[0].dims = []uint64{0} }), "dimension of 0"},
		"when a tensor is of an unknown type":   {with(func(f *ggufFile) { f.tensors[0].kind = 4 }), "unknown type 4"},
		"when a row is no whole block":          {with(func(f *ggufFile) { f.tensors[0].kind, f.tensors[0].dims = 3, []uint64{33} }), "not a multiple of 32"},
		"when a tensor is larger than any file": {with(func(f *ggufFile) { f.tensors[0].dims = []uint64{1 << 40, 1 << 40} }), "larger than any file"},
		"when a tensor is not aligned":          {with(func(f *ggufFile) { f.tensors[0].offset = 1 }), "not a multiple of 32"},
		"when a tensor lies behind the end":     {with(func(f *ggufFile) { f.tensors[0].offset = 1 << 62 }), "it is cut off"},
		"when a string claims to be huge":       {append(sound[:24:24], bytes.Repeat([]byte{0xff}, 400)...), "a metadata key claims 18446744073709551615 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "m.gguf")
			if err := os.WriteFile(path, tc.raw, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := readGGUF(path)
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

// What the guard lets pass, the library must survive.
func FuzzGGUF(f *testing.F) {
	sound := soundGGUF()
	f.Add(sound.bytes())
	f.Add(sound.bytes()[:200])
	sound.keys = append(sound.keys, ggufKey{"general.alignment", 4, uint32(64)}, ggufKey{"x", 6, float32(1)})
	f.Add(sound.bytes())
	sound.keys = append(sound.keys, ggufKey{"llama.feed_forward_length", 4, uint32(128)})
	f.Add(sound.bytes())
	f.Add([]byte("GGUF"))
	path := filepath.Join(f.TempDir(), "m.gguf")
	f.Fuzz(func(t *testing.T, raw []byte) {
		if checkGGUF(bytes.NewReader(raw), int64(len(raw))) != nil {
			return
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		facts, err := parseGGUF(path)
		if err == nil && (facts.WeightsBytes < 0 || facts.WeightsBytes > int64(len(raw))) {
			t.Errorf("%d bytes of weights in a file of %d", facts.WeightsBytes, len(raw))
		}
	})
}
