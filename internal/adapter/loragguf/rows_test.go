package loragguf

import (
	"math"
	"testing"
)

func TestHalfPrecisionIsWidenedExactly(t *testing.T) {
	t.Parallel()
	for half, want := range map[uint16]float64{
		0x0000: 0, 0x3c00: 1, 0xc000: -2, 0x3555: 0.333251953125, 0x7bff: 65504, 0x0400: math.Pow(2, -14),
		0x0001: math.Pow(2, -24), 0x83ff: -1023 * math.Pow(2, -24), 0x7c00: math.Inf(1), 0xfc00: math.Inf(-1),
	} {
		if got := float64(math.Float32frombits(fromHalf(half))); got != want {
			t.Errorf("%#04x is %v, want %v", half, got, want)
		}
	}
	if got := math.Float32frombits(fromHalf(0x7e01)); got == got {
		t.Errorf("0x7e01 is %v, want no number", got)
	}
	if math.Signbit(float64(math.Float32frombits(fromHalf(0x8000)))) != true {
		t.Error("0x8000 has lost its sign")
	}
}
