package estimate

import "kaito.sh/kaito/internal/model"

// times multiplies amounts that are not negative. A product that nobody could add up any more
// stays at what no machine has: it fits nowhere, and turns into no small or negative amount.
func times(factors ...model.Bytes) model.Bytes {
	const most = 1 << 58
	product := model.Bytes(1)
	for _, f := range factors {
		if f > 0 && product > most/f {
			product = most
			continue
		}
		product *= f
	}
	return product
}
