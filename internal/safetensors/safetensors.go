// Package safetensors reads the header of safetensors files. They come from
// strangers: every number in a header is checked before it is used.
package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
)

// maxHeader is the limit of the reference implementation.
const maxHeader = 100 << 20

// prefix is the length of the number before the header.
const prefix = 8

// Header is what the beginning of a file says about the rest.
type Header struct {
	// Tensors are sorted by name.
	Tensors []Tensor
	// Data is the offset in the file from which tensors count theirs.
	Data uint64
	// Parameters counts the values of all tensors, Bytes their size.
	Parameters uint64
	Bytes      uint64
	// ByType are the bytes of each type.
	ByType map[string]uint64
}

// Tensor is one tensor of a file.
type Tensor struct {
	// Name is unique in the file.
	Name string
	// Dtype is a word of the format: F32, BF16.
	Dtype string
	// Shape is empty for a single value.
	Shape []uint64
	// Begin and End are offsets from Header.Data.
	Begin, End uint64
}

// Tensor finds a tensor by its name.
func (h Header) Tensor(name string) (Tensor, bool) {
	i, ok := slices.BinarySearchFunc(h.Tensors, name, func(t Tensor, name string) int { return strings.Compare(t.Name, name) })
	if !ok {
		return Tensor{}, false
	}
	return h.Tensors[i], true
}

// entry is one entry of the header's JSON.
type entry struct {
	Dtype   string   `json:"dtype"`
	Shape   []uint64 `json:"shape"`
	Offsets []uint64 `json:"data_offsets"`
}

// Read reads the header of a file of the given size and refuses one whose tensors
// do not fill the rest of the file exactly.
func Read(in io.Reader, size int64) (Header, error) {
	var begin [prefix]byte
	if size < prefix {
		return Header{}, fmt.Errorf("the file has %d bytes, a safetensors file has at least 8", size)
	}
	if _, err := io.ReadFull(in, begin[:]); err != nil {
		return Header{}, fmt.Errorf("read the header's length: %w", err)
	}
	length := binary.LittleEndian.Uint64(begin[:])
	switch {
	case length > maxHeader:
		return Header{}, fmt.Errorf("the header claims %d bytes, at most %d make sense", length, maxHeader)
	case length > uint64(size-prefix):
		return Header{}, fmt.Errorf("the header claims %d bytes, but the file ends after %d more: it is cut off", length, size-prefix)
	}
	raw := make([]byte, length)
	if _, err := io.ReadFull(in, raw); err != nil {
		return Header{}, fmt.Errorf("read the header: %w", err)
	}
	return Parse(raw, uint64(size)-prefix-length)
}

// Parse checks a header's JSON against the number of data bytes behind it.
func Parse(raw []byte, data uint64) (Header, error) {
	h := Header{Data: prefix + uint64(len(raw)), ByType: map[string]uint64{}}
	err := eachEntry(raw, func(name string, e entry) error {
		values, size, err := e.size()
		if err != nil {
			return fmt.Errorf("tensor %q %w", name, err)
		}
		begin, end := e.Offsets[0], e.Offsets[1]
		switch {
		case begin > end || end-begin != size:
			return fmt.Errorf("tensor %q has %d bytes, but its offsets are %d to %d", name, size, begin, end)
		case end > data:
			return fmt.Errorf("tensor %q ends at data byte %d, but only %d follow the header: the file is cut off", name, end, data)
		}
		h.Parameters += values
		h.ByType[e.Dtype] += size
		h.Tensors = append(h.Tensors, Tensor{Name: name, Dtype: e.Dtype, Shape: e.Shape, Begin: begin, End: end})
		return nil
	})
	if err != nil {
		return Header{}, err
	}
	slices.SortFunc(h.Tensors, func(a, b Tensor) int { return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End)) })
	for _, t := range h.Tensors {
		if t.Begin != h.Bytes {
			return Header{}, fmt.Errorf("tensor %q starts at data byte %d, the one before ends at %d", t.Name, t.Begin, h.Bytes)
		}
		h.Bytes = t.End
	}
	if h.Bytes != data {
		return Header{}, fmt.Errorf("the tensors fill %d data bytes, but %d follow the header", h.Bytes, data)
	}
	slices.SortFunc(h.Tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	return h, nil
}

// eachEntry calls visit for each tensor. It reads token by token, because
// json.Unmarshal would hide a tensor that is named twice.
func eachEntry(raw []byte, visit func(string, entry) error) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return fmt.Errorf("the header is not a JSON object")
	}
	seen := map[string]struct{}{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return fmt.Errorf("the header is not JSON at byte %d: %w", d.InputOffset(), err)
		}
		name, _ := token.(string)
		if _, twice := seen[name]; twice {
			return fmt.Errorf("tensor %q appears twice", name)
		}
		seen[name] = struct{}{}
		if name == "__metadata__" {
			var notes map[string]string
			if err := d.Decode(&notes); err != nil {
				return fmt.Errorf("the header's notes are not text: %w", err)
			}
			continue
		}
		var e entry
		if err := d.Decode(&e); err != nil {
			return fmt.Errorf("tensor %q is described wrongly: %w", name, err)
		}
		if err := visit(name, e); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("the header is not JSON at byte %d: %w", d.InputOffset(), err)
	}
	if rest := bytes.Trim(raw[d.InputOffset():], " \n\r\t\x00"); len(rest) > 0 {
		return fmt.Errorf("the header has %d bytes behind its JSON", len(rest))
	}
	return nil
}

// size is how many values and bytes the shape and type ask for.
func (e entry) size() (values, size uint64, err error) {
	width, ok := dtypeBits(e.Dtype)
	if !ok {
		return 0, 0, fmt.Errorf("has the unknown type %q", e.Dtype)
	}
	if len(e.Offsets) != 2 {
		return 0, 0, fmt.Errorf("has %d data offsets instead of 2", len(e.Offsets))
	}
	values = 1
	for _, d := range e.Shape {
		hi, lo := bits.Mul64(values, d)
		if hi != 0 || lo > 1<<56 {
			return 0, 0, fmt.Errorf("has the absurd shape %v", e.Shape)
		}
		values = lo
	}
	// values is at most 2^56 and width at most 64, so this cannot wrap.
	if values*width%8 != 0 {
		return 0, 0, fmt.Errorf("does not end at a whole byte")
	}
	return values, values * width / 8, nil
}

// dtypeBits is the width of each type that the format knows.
func dtypeBits(dtype string) (uint64, bool) {
	switch dtype {
	case "F64", "I64", "U64", "C64":
		return 64, true
	case "F32", "I32", "U32":
		return 32, true
	case "F16", "BF16", "I16", "U16":
		return 16, true
	case "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ":
		return 8, true
	case "F6_E2M3", "F6_E3M2":
		return 6, true
	case "F4":
		return 4, true
	default:
		return 0, false
	}
}
