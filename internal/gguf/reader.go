// Package gguf reads what the header of a GGUF file says, from a stream that may end after
// it. Files come from strangers: the header is walked by our own reader, which checks every
// count before anything is allocated by it, and only then is the library asked what it means.
package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"

	lib "github.com/gpustack/gguf-parser-go"
)

// Bounds of a GGUF header. Real files stay far below; what is above would only
// make a reader allocate.
const (
	maxKeys      = 1 << 16
	maxTensors   = 1 << 20
	maxKey       = 1 << 16
	maxString    = 64 << 20
	maxAlignment = 1 << 16
	// maxKept is the longest text that is kept: chat templates are below 100 kB.
	maxKept   = 1 << 20
	maxDims   = 4
	maxLayers = 1 << 14
)

// reader walks a GGUF header and knows at every moment where it stands, so
// that a refusal can say where the file is wrong.
type reader struct {
	in   *bufio.Reader
	size int64
	at   int64
}

// Error is what is wrong with a GGUF file, and at which byte.
type Error struct {
	offset int64
	why    string
}

// Error names the byte.
func (e *Error) Error() string { return fmt.Sprintf("at byte %d: %s", e.offset, e.why) }

func (r *reader) wrong(format string, args ...any) error {
	return &Error{offset: r.at, why: fmt.Sprintf(format, args...)}
}

// need refuses what cannot stand in the rest of the file, before anything is allocated for it.
func (r *reader) need(n uint64, what string) error {
	if left := r.size - r.at; left < 0 || n > uint64(left) {
		return r.wrong("%s needs %d bytes, but the file ends after %d more", what, n, max(left, 0))
	}
	return nil
}

// fixed reads n bytes, at most 8.
func (r *reader) fixed(n int, what string) ([]byte, error) {
	if err := r.need(uint64(n), what); err != nil {
		return nil, err
	}
	var b [8]byte
	if _, err := io.ReadFull(r.in, b[:n]); err != nil {
		return nil, fmt.Errorf("read %s at byte %d: %w", what, r.at, err)
	}
	r.at += int64(n)
	return b[:n], nil
}

func (r *reader) u32(what string) (uint32, error) {
	b, err := r.fixed(4, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *reader) u64(what string) (uint64, error) {
	b, err := r.fixed(8, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// skip passes over n bytes that need not be looked at.
func (r *reader) skip(n uint64, what string) error {
	if err := r.need(n, what); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, r.in, int64(n)); err != nil {
		return fmt.Errorf("read %s at byte %d: %w", what, r.at, err)
	}
	r.at += int64(n)
	return nil
}

// text reads a string of at most limit bytes.
func (r *reader) text(limit uint64, what string) (string, error) {
	n, err := r.length(limit, what)
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return "", fmt.Errorf("read %s at byte %d: %w", what, r.at, err)
	}
	r.at += int64(n)
	return string(b), nil
}

// length reads the length that stands before a string and checks it.
func (r *reader) length(limit uint64, what string) (uint64, error) {
	n, err := r.u64("the length of " + what)
	if err != nil {
		return 0, err
	}
	if n > limit {
		return 0, r.wrong("%s claims %d bytes, more than the %d that make sense", what, n, limit)
	}
	return n, r.need(n, what)
}

// width is the size of the values that have a fixed one.
func width(kind lib.GGUFMetadataValueType) (int, bool) {
	switch kind {
	case lib.GGUFMetadataValueTypeUint8, lib.GGUFMetadataValueTypeInt8, lib.GGUFMetadataValueTypeBool:
		return 1, true
	case lib.GGUFMetadataValueTypeUint16, lib.GGUFMetadataValueTypeInt16:
		return 2, true
	case lib.GGUFMetadataValueTypeUint32, lib.GGUFMetadataValueTypeInt32, lib.GGUFMetadataValueTypeFloat32:
		return 4, true
	case lib.GGUFMetadataValueTypeUint64, lib.GGUFMetadataValueTypeInt64, lib.GGUFMetadataValueTypeFloat64:
		return 8, true
	default:
		return 0, false
	}
}

// value reads one metadata value: a number, a text, or an array of the kinds of the library.
func (r *reader) value(key string) (lib.GGUFMetadataValueType, any, error) {
	t, err := r.u32(fmt.Sprintf("the type of key %q", key))
	if err != nil {
		return 0, nil, err
	}
	kind := lib.GGUFMetadataValueType(t)
	what := fmt.Sprintf("the value of key %q", key)
	switch kind {
	case lib.GGUFMetadataValueTypeString:
		value, err := r.kept(what)
		return kind, value, err
	case lib.GGUFMetadataValueTypeArray:
		value, err := r.array(what, perLayer(key))
		return kind, value, err
	default:
		value, err := r.scalar(kind, what)
		return kind, value, err
	}
}

// kept reads a text that is of use, and passes over a longer one.
func (r *reader) kept(what string) (string, error) {
	n, err := r.length(maxString, what)
	if err != nil {
		return "", err
	}
	if n > maxKept {
		return "", r.skip(n, what)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return "", fmt.Errorf("read %s at byte %d: %w", what, r.at, err)
	}
	r.at += int64(n)
	return string(b), nil
}

// scalar reads one number and refuses one that is none.
func (r *reader) scalar(kind lib.GGUFMetadataValueType, what string) (any, error) {
	n, ok := width(kind)
	if !ok {
		return nil, r.wrong("%s has the unknown type %d", what, uint32(kind))
	}
	b, err := r.fixed(n, what)
	if err != nil {
		return nil, err
	}
	var wide [8]byte
	copy(wide[:], b)
	value := number(kind, binary.LittleEndian.Uint64(wide[:]))
	float := 0.0
	switch x := value.(type) {
	case float32:
		float = float64(x)
	case float64:
		float = x
	}
	if math.IsNaN(float) || math.IsInf(float, 0) {
		return nil, r.wrong("%s is %v, not a finite number", what, float)
	}
	return value, nil
}

// number is the value of a kind that these bits are.
func number(kind lib.GGUFMetadataValueType, bits uint64) any {
	switch kind {
	case lib.GGUFMetadataValueTypeUint8:
		return uint8(bits)
	case lib.GGUFMetadataValueTypeInt8:
		return int8(bits)
	case lib.GGUFMetadataValueTypeBool:
		return bits != 0
	case lib.GGUFMetadataValueTypeUint16:
		return uint16(bits)
	case lib.GGUFMetadataValueTypeInt16:
		return int16(bits)
	case lib.GGUFMetadataValueTypeUint32:
		return uint32(bits)
	case lib.GGUFMetadataValueTypeInt32:
		return int32(bits)
	case lib.GGUFMetadataValueTypeFloat32:
		return math.Float32frombits(uint32(bits))
	case lib.GGUFMetadataValueTypeInt64:
		return int64(bits)
	case lib.GGUFMetadataValueTypeFloat64:
		return math.Float64frombits(bits)
	default:
		return bits
	}
}

// perLayer says whether an array of this key has one item a layer. The library looks at
// each item of those.
func perLayer(key string) bool {
	for _, suffix := range []string{".feed_forward_length", ".head_count", ".head_count_kv", ".sliding_window_pattern", ".sliding_window"} {
		if strings.HasSuffix(key, suffix) {
			return true
		}
	}
	return false
}

// array passes over an array; the items of a short one are kept. llama.cpp takes no arrays
// of arrays, and neither do we.
func (r *reader) array(what string, short bool) (lib.GGUFMetadataKVArrayValue, error) {
	var a lib.GGUFMetadataKVArrayValue
	t, err := r.u32("the item type of " + what)
	if err != nil {
		return a, err
	}
	if a.Len, err = r.u64("the item count of " + what); err != nil {
		return a, err
	}
	a.Type = lib.GGUFMetadataValueType(t)
	if short && a.Len > maxLayers {
		return a, r.wrong("%s claims %d items, one for each layer", what, a.Len)
	}
	each, ok := width(a.Type)
	switch {
	case ok && short:
		for range a.Len {
			item, err := r.scalar(a.Type, "an item of "+what)
			if err != nil {
				return a, err
			}
			a.Array = append(a.Array, item)
		}
		return a, nil
	case ok:
		hi, total := bits.Mul64(a.Len, uint64(each))
		if hi != 0 {
			return a, r.wrong("%s claims %d items", what, a.Len)
		}
		return a, r.skip(total, what)
	case a.Type != lib.GGUFMetadataValueTypeString:
		return a, r.wrong("%s has items of type %d, which arrays cannot hold", what, t)
	}
	return a, r.texts(a.Len, what)
}

// texts passes over the items of an array.
func (r *reader) texts(n uint64, what string) error {
	hi, least := bits.Mul64(n, 8)
	if hi != 0 {
		return r.wrong("%s claims %d items", what, n)
	}
	if err := r.need(least, what); err != nil {
		return err
	}
	item := "an item of " + what
	for range n {
		length, err := r.length(maxString, item)
		if err != nil {
			return err
		}
		if err := r.skip(length, item); err != nil {
			return err
		}
	}
	return nil
}
