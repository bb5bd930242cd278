package dataset

import (
	"errors"
	"fmt"
	"strings"
)

// Error says what is wrong with the data, where, and what to do.
type Error struct {
	// File is the name of the file, or empty.
	File string
	// Row is the row in the file, from 1 on; 0 is the file as a whole.
	Row int64
	// Column is the column's name, or empty.
	Column string
	// Problem is what is wrong.
	Problem string
	// Fix is what to do.
	Fix string
}

// Error says all of it in one sentence.
func (e *Error) Error() string {
	var where []string
	if e.File != "" {
		where = append(where, fmt.Sprintf("file %q", e.File))
	}
	if e.Row > 0 {
		where = append(where, fmt.Sprintf("row %d", e.Row))
	}
	if e.Column != "" {
		where = append(where, fmt.Sprintf("column %q", e.Column))
	}
	text := e.Problem
	if len(where) > 0 {
		text = strings.Join(where, ", ") + ": " + text
	}
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	return text
}

// place names the row of an error that does not name one.
func place(err error, row int64) error {
	var mine *Error
	if errors.As(err, &mine) && mine.Row == 0 {
		mine.Row = row
	}
	return err
}

// tooMany is the answer to a row that would take more memory than text does.
func tooMany() error {
	return &Error{Problem: fmt.Sprintf("the row has more than %d values", valueLimit), Fix: "split the conversation"}
}
