package main

import "slices"

// rounds in which the sides of a comparison take turns. A figure is the median over the
// rounds, so that a moment in which the machine did something else does not count.
const rounds = 12

// turns measures each side in each round; each is the first as often as the others.
func turns[T any](sides ...func() (T, error)) ([][]T, error) {
	got := make([][]T, len(sides))
	for i := range rounds {
		for j := range sides {
			side := (i + j) % len(sides)
			one, err := sides[side]()
			if err != nil {
				return nil, err
			}
			got[side] = append(got[side], one)
		}
	}
	return got, nil
}

// median of what is figured out from each round.
func median(figure func(round int) float64) float64 { return quantile(figure, 0.5) }

// quantile of what is figured out from each round, between the two rounds that are nearest.
func quantile(figure func(round int) float64, q float64) float64 {
	all := make([]float64, rounds)
	for i := range all {
		all[i] = figure(i)
	}
	slices.Sort(all)
	at := q * float64(rounds-1)
	below := int(at)
	return all[below] + (at-float64(below))*(all[min(below+1, rounds-1)]-all[below])
}
