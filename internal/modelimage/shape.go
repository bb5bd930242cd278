package modelimage

import "fmt"

// bound is the largest value of a fact that any model could have; above it the
// file is broken or made to hurt whoever allocates by it.
type bound struct {
	what  string
	value int64
	limit int64
}

// checkShape refuses numbers that no model has.
func checkShape(f Facts) error {
	for _, b := range []bound{
		{"parameters", f.Parameters, 1 << 50},
		{"context", f.Context, 1 << 32},
		{"layers", f.Layers, 1 << 14},
		{"attention heads", f.Heads, 1 << 16},
		{"key-value heads", f.KVHeads, 1 << 16},
		{"head dimension", f.HeadDim, 1 << 16},
		{"hidden size", f.Hidden, 1 << 20},
		{"vocabulary", f.Vocabulary, 1 << 26},
	} {
		if b.value < 0 || b.value > b.limit {
			return fmt.Errorf("%s is %d, at most %d makes sense", b.what, b.value, b.limit)
		}
	}
	if f.Architecture == "" {
		return fmt.Errorf("it names no architecture")
	}
	if f.Heads > 0 && f.KVHeads > f.Heads {
		return fmt.Errorf("%d key-value heads for %d attention heads", f.KVHeads, f.Heads)
	}
	return nil
}
