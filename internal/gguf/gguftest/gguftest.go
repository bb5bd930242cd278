// Package gguftest builds GGUF files for tests, sound ones and others.
package gguftest

import (
	"bytes"
	"encoding/binary"
)

// File builds GGUF files, sound ones and others.
type File struct {
	// Magic and Version begin the file.
	Magic   string
	Version uint32
	// Keys and Tensors are the header, Data is how many bytes of zeros follow it.
	Keys    []Key
	Tensors []Tensor
	Data    int
	// TensorCount and KeyCount override the honest counts.
	TensorCount, KeyCount uint64
}

// Key is a pair of the metadata; Kind is the format's number of the type of Value.
type Key struct {
	Name  string
	Kind  uint32
	Value any
}

// Tensor is one tensor; Kind is ggml's number of its type, 0 is F32.
type Tensor struct {
	Name   string
	Dims   []uint64
	Kind   uint32
	Offset uint64
}

// Sound is a llama model of one tensor with 64 values.
func Sound() File {
	return File{
		Magic: "GGUF", Version: 3, Data: 256,
		Keys: []Key{
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
		Tensors: []Tensor{{"token_embd.weight", []uint64{64}, 0, 0}},
	}
}

// Servable is a sound file whose weights are larger than its header, as those of real models are.
func Servable() File {
	f := Sound()
	f.Tensors[0].Dims, f.Data = []uint64{64, 64}, 64*64*4
	return f
}

// Bytes is the file.
func (f File) Bytes() []byte {
	var b bytes.Buffer
	le := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // a buffer takes everything
	text := func(s string) { le(uint64(len(s))); b.WriteString(s) }
	b.WriteString(f.Magic)
	le(f.Version)
	le(max(f.TensorCount, uint64(len(f.Tensors))))
	le(max(f.KeyCount, uint64(len(f.Keys))))
	for _, k := range f.Keys {
		text(k.Name)
		le(k.Kind)
		switch v := k.Value.(type) {
		case string:
			text(v)
		case []string:
			le(uint32(8))
			le(uint64(len(v)))
			for _, s := range v {
				text(s)
			}
		case []float32:
			le(uint32(6))
			le(uint64(len(v)))
			le(v)
		case []int32:
			le(uint32(5))
			le(uint64(len(v)))
			le(v)
		default:
			le(v)
		}
	}
	for _, t := range f.Tensors {
		text(t.Name)
		le(uint32(len(t.Dims)))
		le(t.Dims)
		le(t.Kind)
		le(t.Offset)
	}
	b.Write(make([]byte, (32-b.Len()%32)%32+f.Data))
	return b.Bytes()
}
