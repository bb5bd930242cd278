package modelimage

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"

	gguf "github.com/gpustack/gguf-parser-go"
)

// Bounds of a GGUF header. Real files stay far below; what is above would only
// make a reader allocate.
const (
	maxGGUFKeys      = 1 << 16
	maxGGUFTensors   = 1 << 20
	maxGGUFKey       = 1 << 16
	maxGGUFString    = 64 << 20
	maxGGUFAlignment = 1 << 16
	maxGGUFDims      = 4
	maxGGUFLayers    = 1 << 14
)

// ggufReader walks a GGUF header and knows at every moment where it stands, so
// that a refusal can say where the file is wrong.
type ggufReader struct {
	in   *bufio.Reader
	size int64
	at   int64
}

// ggufError is what is wrong with a GGUF file, and at which byte.
type ggufError struct {
	offset int64
	why    string
}

func (e *ggufError) Error() string { return fmt.Sprintf("at byte %d: %s", e.offset, e.why) }

func (r *ggufReader) wrong(format string, args ...any) error {
	return &ggufError{offset: r.at, why: fmt.Sprintf(format, args...)}
}

// need refuses what cannot stand in the rest of the file, before anything is allocated for it.
func (r *ggufReader) need(n uint64, what string) error {
	if left := r.size - r.at; left < 0 || n > uint64(left) {
		return r.wrong("%s needs %d bytes, but the file ends after %d more", what, n, max(left, 0))
	}
	return nil
}

// fixed reads n bytes, at most 8.
func (r *ggufReader) fixed(n int, what string) ([]byte, error) {
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

func (r *ggufReader) u32(what string) (uint32, error) {
	b, err := r.fixed(4, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *ggufReader) u64(what string) (uint64, error) {
	b, err := r.fixed(8, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// skip passes over n bytes that need not be looked at.
func (r *ggufReader) skip(n uint64, what string) error {
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
func (r *ggufReader) text(limit uint64, what string) (string, error) {
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
func (r *ggufReader) length(limit uint64, what string) (uint64, error) {
	n, err := r.u64("the length of " + what)
	if err != nil {
		return 0, err
	}
	if n > limit {
		return 0, r.wrong("%s claims %d bytes, more than the %d that make sense", what, n, limit)
	}
	return n, r.need(n, what)
}

// ggufWidth is the size of the values that have a fixed one.
func ggufWidth(kind gguf.GGUFMetadataValueType) (int, bool) {
	switch kind {
	case gguf.GGUFMetadataValueTypeUint8, gguf.GGUFMetadataValueTypeInt8, gguf.GGUFMetadataValueTypeBool:
		return 1, true
	case gguf.GGUFMetadataValueTypeUint16, gguf.GGUFMetadataValueTypeInt16:
		return 2, true
	case gguf.GGUFMetadataValueTypeUint32, gguf.GGUFMetadataValueTypeInt32, gguf.GGUFMetadataValueTypeFloat32:
		return 4, true
	case gguf.GGUFMetadataValueTypeUint64, gguf.GGUFMetadataValueTypeInt64, gguf.GGUFMetadataValueTypeFloat64:
		return 8, true
	default:
		return 0, false
	}
}

// value passes over one metadata value and returns it as a number where it is an integer.
func (r *ggufReader) value(key string) (kind gguf.GGUFMetadataValueType, number uint64, err error) {
	t, err := r.u32(fmt.Sprintf("the type of key %q", key))
	if err != nil {
		return 0, 0, err
	}
	kind = gguf.GGUFMetadataValueType(t)
	what := fmt.Sprintf("the value of key %q", key)
	switch kind {
	case gguf.GGUFMetadataValueTypeString:
		n, err := r.length(maxGGUFString, what)
		if err != nil {
			return kind, 0, err
		}
		return kind, 0, r.skip(n, what)
	case gguf.GGUFMetadataValueTypeArray:
		return kind, 0, r.array(what, perLayer(key))
	default:
		number, err = r.scalar(kind, what)
		return kind, number, err
	}
}

// scalar reads one number and refuses one that is none.
func (r *ggufReader) scalar(kind gguf.GGUFMetadataValueType, what string) (uint64, error) {
	width, ok := ggufWidth(kind)
	if !ok {
		return 0, r.wrong("%s has the unknown type %d", what, uint32(kind))
	}
	b, err := r.fixed(width, what)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	number := binary.LittleEndian.Uint64(wide[:])
	float := 0.0
	switch kind {
	case gguf.GGUFMetadataValueTypeFloat32:
		float = float64(math.Float32frombits(uint32(number)))
	case gguf.GGUFMetadataValueTypeFloat64:
		float = math.Float64frombits(number)
	}
	if math.IsNaN(float) || math.IsInf(float, 0) {
		return 0, r.wrong("%s is %v, not a finite number", what, float)
	}
	return number, nil
}

// perLayer says whether an array of this key has one item a layer. The library
// keeps such arrays in memory, item by item.
func perLayer(key string) bool {
	for _, suffix := range []string{".feed_forward_length", ".head_count", ".head_count_kv", ".sliding_window_pattern"} {
		if strings.HasSuffix(key, suffix) {
			return true
		}
	}
	return false
}

// array passes over an array. llama.cpp takes no arrays of arrays, and neither do we.
func (r *ggufReader) array(what string, short bool) error {
	t, err := r.u32("the item type of " + what)
	if err != nil {
		return err
	}
	n, err := r.u64("the item count of " + what)
	if err != nil {
		return err
	}
	if short && n > maxGGUFLayers {
		return r.wrong("%s claims %d items, one for each layer", what, n)
	}
	kind := gguf.GGUFMetadataValueType(t)
	if width, ok := ggufWidth(kind); ok {
		hi, total := bits.Mul64(n, uint64(width))
		if hi != 0 {
			return r.wrong("%s claims %d items", what, n)
		}
		return r.skip(total, what)
	}
	if kind != gguf.GGUFMetadataValueTypeString {
		return r.wrong("%s has items of type %d, which arrays cannot hold", what, t)
	}
	hi, least := bits.Mul64(n, 8)
	if hi != 0 {
		return r.wrong("%s claims %d items", what, n)
	}
	if err := r.need(least, what); err != nil {
		return err
	}
	for range n {
		length, err := r.length(maxGGUFString, "an item of "+what)
		if err != nil {
			return err
		}
		if err := r.skip(length, "an item of "+what); err != nil {
			return err
		}
	}
	return nil
}
