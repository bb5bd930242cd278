package dataset

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
)

// table reads CSV with a header.
type table struct {
	in     *csv.Reader
	limit  *limited
	header []string
	only   []int
	head   error
}

func openCSV(from io.Reader) records {
	limit := &limited{from: from, left: rowLimit}
	in := csv.NewReader(limit)
	in.ReuseRecord = true
	t := &table{in: in, limit: limit}
	header, err := in.Read()
	t.header, t.head = slices.Clone(header), err
	return t
}

func (t *table) columns() []string {
	if t.header == nil {
		return []string{}
	}
	return t.header
}

func (t *table) want(names []string) {
	for i, h := range t.header {
		if slices.Contains(names, h) {
			t.only = append(t.only, i)
		}
	}
}

func (t *table) next() (value, error) {
	if t.head != nil {
		return value{}, t.wrong(t.head)
	}
	t.limit.left = rowLimit
	cells, err := t.in.Read()
	if err != nil {
		return value{}, t.wrong(err)
	}
	v := value{kind: kindObject, members: make([]member, 0, len(t.only))}
	for _, i := range t.only {
		v.members = append(v.members, member{t.header[i], textual(cells[i])})
	}
	return v, nil
}

// wrong says what is wrong with a row.
func (t *table) wrong(err error) error {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, csv.ErrFieldCount):
		return &Error{Problem: fmt.Sprintf("it has another number of cells than the header, which names %s", list(t.header)), Fix: "put text with commas, quotes or line breaks in quotes"}
	case errors.As(err, &parse):
		return &Error{Problem: fmt.Sprintf("line %d is not CSV: %v", parse.Line, parse.Err), Fix: `write a quote inside quoted text as ""`}
	}
	return unpacking(err)
}
