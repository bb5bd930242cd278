package catalog

import (
	"cmp"
	"slices"
	"strings"
)

// Near are the ids of at most three models that a user may have meant, best first.
func (c *Catalog) Near(name string) []string {
	const most = 3
	type guess struct {
		id       string
		distance int
	}
	var guesses []guess
	wanted := last(strings.ToLower(name))
	for _, id := range c.ids {
		d := distance(wanted, id)
		if strings.Contains(id, wanted) || strings.Contains(wanted, id) {
			d = min(d, 1)
		}
		// A third of the letters may differ: more is another name.
		if d <= max(2, len(id)/3) {
			guesses = append(guesses, guess{id, d})
		}
	}
	slices.SortFunc(guesses, func(a, b guess) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.id, b.id))
	})
	var ids []string
	for _, g := range guesses[:min(most, len(guesses))] {
		ids = append(ids, g.id)
	}
	return ids
}

// last is the part of a hub id after its owner.
func last(name string) string {
	return name[strings.LastIndex(name, "/")+1:]
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
