package loragguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// rowReader reads a matrix row by row as 32-bit numbers.
type rowReader struct {
	in      *bufio.Reader
	dtype   string
	columns int
}

func (r rows) reader() *rowReader {
	return &rowReader{bufio.NewReaderSize(r.weights.Tensor(r.tensor), 1<<18), r.tensor.Dtype, r.columns}
}

// next is the next row, in little endian.
func (r *rowReader) next() ([]byte, error) {
	width, ok := map[string]int{"F64": 8, "F32": 4, "F16": 2, "BF16": 2}[r.dtype]
	if !ok { // adapter.Check lets no other pass
		return nil, fmt.Errorf("no type %q", r.dtype)
	}
	raw := make([]byte, r.columns*width)
	if _, err := io.ReadFull(r.in, raw); err != nil {
		return nil, err //nolint:wrapcheck // the caller says of what
	}
	if r.dtype == "F32" {
		return raw, nil
	}
	out := make([]byte, 0, 4*r.columns)
	for i := 0; i < len(raw); i += width {
		out = binary.LittleEndian.AppendUint32(out, r.single(raw[i:i+width]))
	}
	return out, nil
}

// single is one number as the bits of a 32-bit one.
func (r *rowReader) single(raw []byte) uint32 {
	switch r.dtype {
	case "F64":
		return math.Float32bits(float32(math.Float64frombits(binary.LittleEndian.Uint64(raw))))
	case "BF16":
		return uint32(binary.LittleEndian.Uint16(raw)) << 16
	default:
		return fromHalf(binary.LittleEndian.Uint16(raw))
	}
}

// fromHalf widens a number of IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction.
func fromHalf(h uint16) uint32 {
	const fractionBits, wideBits, bias, wideBias, top = 10, 23, 15, 127, 0x1f
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>fractionBits)&top, uint32(h)&(1<<fractionBits-1)
	switch exponent {
	case top: // infinite, or no number
		return sign | 0xff<<wideBits | fraction<<(wideBits-fractionBits)
	case 0: // a multiple of the smallest one, 2^-24, exact in 32 bits
		return sign | math.Float32bits(float32(fraction)/(1<<24))
	}
	return sign | (exponent+wideBias-bias)<<wideBits | fraction<<(wideBits-fractionBits)
}
