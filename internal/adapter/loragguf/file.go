package loragguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// What a GGUF file is made of: github.com/ggml-org/ggml, docs/gguf.md, version 3.
const (
	magic     = "GGUF"
	version   = 3
	alignment = 32

	typeFloat32 = 6 // of a value
	typeString  = 8
	tensorF32   = 0 // of a tensor
)

type pairOfText struct{ key, value string }

// file is what is written.
type file struct {
	text    []pairOfText
	alpha   float32
	tensors []tensor
}

// tensor is a matrix of 32-bit numbers.
type tensor struct {
	name          string
	rows, columns int
	from          rows
	// factor multiplies each number; 0 leaves them.
	factor float32
	// heads is the number of heads in which the rows are put into llama.cpp's order; 0 leaves it.
	heads int
}

func (t tensor) size() uint64 { return uint64(t.rows) * uint64(t.columns) * 4 }

// aligned is where the next tensor may begin.
func aligned(n uint64) uint64 { return (n + alignment - 1) / alignment * alignment }

// write writes the file from its beginning to its end.
func (f *file) write(to io.Writer) error {
	out := bufio.NewWriterSize(to, 1<<20)
	head := f.head()
	head = append(head, make([]byte, aligned(uint64(len(head)))-uint64(len(head)))...)
	if _, err := out.Write(head); err != nil {
		return fmt.Errorf("write the adapter: %w", err)
	}
	for _, t := range f.tensors {
		if err := t.write(out); err != nil {
			return err
		}
		if _, err := out.Write(make([]byte, aligned(t.size())-t.size())); err != nil {
			return fmt.Errorf("write the adapter: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the adapter: %w", err)
	}
	return nil
}

// head is all that stands before the data.
func (f *file) head() []byte {
	le := binary.LittleEndian
	text := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	out := le.AppendUint32([]byte(magic), version)
	out = le.AppendUint64(out, uint64(len(f.tensors)))
	out = le.AppendUint64(out, uint64(len(f.text)+1))
	for _, t := range f.text {
		out = text(le.AppendUint32(text(out, t.key), typeString), t.value)
	}
	out = le.AppendUint32(text(out, "adapter.lora.alpha"), typeFloat32)
	out = le.AppendUint32(out, math.Float32bits(f.alpha))
	const dimensions = 2
	var offset uint64
	for _, t := range f.tensors {
		out = le.AppendUint32(text(out, t.name), dimensions)
		out = le.AppendUint64(out, uint64(t.columns)) // the fastest dimension comes first
		out = le.AppendUint64(out, uint64(t.rows))
		out = le.AppendUint32(out, tensorF32)
		out = le.AppendUint64(out, offset)
		offset += aligned(t.size())
	}
	return out
}

// write writes the numbers, as many rows at a time as belong together.
func (t tensor) write(out io.Writer) error {
	together := 1
	if t.heads > 0 {
		together = t.rows / t.heads
	}
	in := t.from.reader()
	block := make([][]byte, together)
	for range t.rows / together {
		for i := range block {
			row, err := in.next()
			if err != nil {
				return fmt.Errorf("read %q: %w", t.from.tensor.Name, err)
			}
			t.scale(row)
			block[i] = row
		}
		for i := range block {
			if _, err := out.Write(block[t.source(i, together)]); err != nil {
				return fmt.Errorf("write the adapter: %w", err)
			}
		}
	}
	return nil
}

// source is the row of a head in transformers' order that comes at place i in llama.cpp's:
// of the two halves of a head, one row of each in turn.
func (t tensor) source(i, together int) int {
	const halves = 2
	if t.heads == 0 {
		return i
	}
	return i%halves*(together/halves) + i/halves
}

func (t tensor) scale(row []byte) {
	if t.factor == 0 {
		return
	}
	for i := 0; i+4 <= len(row); i += 4 {
		value := math.Float32frombits(binary.LittleEndian.Uint32(row[i:]))
		binary.LittleEndian.PutUint32(row[i:], math.Float32bits(value*t.factor))
	}
}
