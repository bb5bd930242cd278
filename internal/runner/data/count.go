package data

import (
	"fmt"
	"slices"

	"kaito.sh/kaito/internal/dataset"
	"kaito.sh/kaito/internal/runner/contract"
)

// count adds up what the tokenizer says of rows.
type count struct {
	most, context int
	each          func(*contract.Row) error
	notes         []string

	rows, long, tokens, trained int64
	longest                     int
	// first is the first row that is too long, with its tokens; worst are those of the longest.
	first      dataset.Place
	firstCount int
	worst      int
}

// take takes one row in the order of the files.
func (c *count) take(at dataset.Place, row *encoded) error {
	if row.problem != "" {
		return &dataset.Error{File: at.File, Row: at.Row, Problem: row.problem}
	}
	if row.tokens > c.most {
		if c.long++; c.long == 1 {
			c.first, c.firstCount = at, row.tokens
		}
		c.worst = max(c.worst, row.tokens)
		return nil
	}
	c.rows++
	c.tokens += int64(row.tokens)
	for _, r := range row.Train {
		c.trained += int64(r[1] - r[0])
	}
	c.longest = max(c.longest, row.tokens)
	return c.each(&row.Row)
}

// judge says whether too many rows cannot be used.
func (c *count) judge(sum dataset.Summary) error {
	all := sum.Rows + sum.EmptyRows
	if c.long == 0 || !dataset.TooMany(c.long+sum.EmptyRows, all) {
		return nil
	}
	e := &dataset.Error{File: c.first.File, Row: c.first.Row, Fix: c.fix()}
	e.Problem = fmt.Sprintf("the row has %d tokens and at most %d are allowed; %s of %d too long, more than 5 %%; the longest has %d",
		c.firstCount, c.most, rowsAre(c.long), all, c.worst)
	if sum.EmptyRows > 0 {
		e.Problem = fmt.Sprintf("the row has %d tokens and at most %d are allowed; %s too long and %s empty of %d, together more than 5 %%; the longest has %d",
			c.firstCount, c.most, rowsAre(c.long), rowsAre(sum.EmptyRows), all, c.worst)
	}
	return e
}

// fix says what to do about rows that are too long.
func (c *count) fix() string {
	if c.most < c.context {
		return fmt.Sprintf("set TrainingArguments.max_length of the training configuration to up to %d, which is what the model takes and needs more memory, or shorten the rows", c.context)
	}
	return "the model takes no more: shorten the rows, or split them"
}

// rowsAre is "1 row is" or "7 rows are".
func rowsAre(n int64) string {
	if n == 1 {
		return "1 row is"
	}
	return fmt.Sprintf("%d rows are", n)
}

// dataset sums up.
func (c *count) dataset(sum dataset.Summary) contract.Dataset {
	d := contract.Dataset{
		Files: len(sum.Files), Bytes: sum.Bytes, Digest: sum.Digest, Format: string(sum.Shape),
		Rows: c.rows, EmptyRows: sum.EmptyRows, LongRows: c.long, DuplicateRows: sum.DuplicateRows,
		Tokens: c.tokens, TrainedTokens: c.trained, LongestRow: c.longest, Notes: c.notes,
	}
	if sum.EmptyRows > 0 {
		first := sum.FirstEmpty[0]
		d.Notes = append(d.Notes, fmt.Sprintf("%s empty and skipped; the first is row %d of %q", rowsAre(sum.EmptyRows), first.Row, first.File))
	}
	if c.long > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%s longer than %d tokens and skipped; the first is row %d of %q with %d", rowsAre(c.long), c.most, c.first.Row, c.first.File, c.firstCount))
	}
	if sum.DuplicateRows > 0 {
		least := ""
		if sum.AtLeast {
			least = "At least "
		}
		d.Notes = append(d.Notes, fmt.Sprintf("%s%s the same as one before and used all the same", least, rowsAre(sum.DuplicateRows)))
	}
	slices.Sort(d.Notes)
	return d
}
