// Package near finds the name that somebody may have meant.
package near

import (
	"cmp"
	"slices"
	"strings"
)

// Names are at most three of the known names that are close to the wanted one, best first.
func Names(wanted string, known []string) []string {
	const most = 3
	type guess struct {
		name     string
		distance int
	}
	var guesses []guess
	for _, name := range known {
		// A third of the letters may differ: more is another name.
		most := max(2, len(name)/3)
		d := most + 1
		// What is much longer or shorter need not be compared, however long it is.
		if l := len(wanted) - len(name); l <= most && -l <= most {
			d = distance(wanted, name)
		}
		switch {
		case wanted == "":
		case strings.Contains(name, wanted):
			d = min(d, 1)
		case strings.Contains(wanted, name):
			// It may be meant, and the less so the more was written besides.
			guesses = append(guesses, guess{name, len(wanted) - len(name)})
			continue
		}
		if d <= most {
			guesses = append(guesses, guess{name, d})
		}
	}
	slices.SortFunc(guesses, func(a, b guess) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var names []string
	for _, g := range guesses[:min(most, len(guesses))] {
		names = append(names, g.name)
	}
	return names
}

// distance is the number of letters to add, drop or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
