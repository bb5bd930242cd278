// Package dataset reads training data as streams, from parquet, JSON lines, JSON, CSV and
// Arrow files, and checks its shape: the columns, the roles of conversations, what is
// empty, what is there twice. It knows nothing of tokens. What is wrong is told with file
// and row, and with what to do; nothing larger than a row, or a page of a column, is held.
package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
)

// Handle is an open file.
type Handle interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	io.Closer
}

// File is one file of a data set.
type File struct {
	// Name is how messages call it; its ending helps to tell text formats apart.
	Name string
	// Size is its length in bytes.
	Size int64
	// Open opens it at its beginning.
	Open func(context.Context) (Handle, error)
	// SHA256 is the digest of its content in hex; empty: Read computes it.
	SHA256 string
}

// Options say which columns to read, as the section DatasetConfig of a training
// configuration does. Empty fields leave it to the names of the columns.
type Options struct {
	// MessagesColumn holds conversations.
	MessagesColumn string
	// ContextColumn holds prompts, ResponseColumn the answers; without a ContextColumn,
	// ResponseColumn holds plain text.
	ContextColumn  string
	ResponseColumn string
	// Extension is the format of files whose content and name do not say it: parquet, jsonl, json, csv or arrow.
	Extension string
}

// Shape is what a row is.
type Shape string

// The shapes, by the names that users see.
const (
	Messages      Shape = "messages"
	Conversations Shape = "conversations"
	Completion    Shape = "prompt-completion"
	Text          Shape = "text"
)

// Message is one turn of a conversation.
type Message struct {
	// Role is system, user or assistant.
	Role string `json:"role"`
	// Content is the text of the turn.
	Content string `json:"content"`
}

// Row is one row that can be trained on.
type Row struct {
	// File is the name of its file, Number its place there, from 1 on.
	File   string
	Number int64
	// Shape says which of the following fields it has.
	Shape Shape
	// Messages are the turns; of a prompt with its completion, one of the user's and one of the assistant's.
	Messages []Message
	// Text is plain text.
	Text string
}

// FileSummary sums a file up.
type FileSummary struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	Bytes  int64  `json:"bytes"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Place is where a row stands.
type Place struct {
	File string `json:"file"`
	Row  int64  `json:"row"`
}

// Summary sums a data set up.
type Summary struct {
	// Files are in the order in which they were read.
	Files []FileSummary `json:"files"`
	// Shape is that of all rows.
	Shape Shape `json:"shape"`
	// Rows can be used; EmptyRows were skipped, of which FirstEmpty are the first.
	Rows       int64   `json:"rows"`
	EmptyRows  int64   `json:"emptyRows"`
	FirstEmpty []Place `json:"firstEmpty,omitempty"`
	// DuplicateRows are used, and equal to one before; there may be more where AtLeast is true.
	DuplicateRows int64 `json:"duplicateRows"`
	AtLeast       bool  `json:"duplicatesAtLeast,omitempty"`
	// Bytes is the size of all files.
	Bytes int64 `json:"bytes"`
	// Digest is sha256: and the sha256 of the files' own digests, in hex, one a line, in order.
	Digest string `json:"digest"`
}

const (
	// tolerated is the part of the rows, one in so many, that may be skipped.
	tolerated = 20
	// remembered bounds the rows among which duplicates are found, and with it the memory.
	remembered = 1 << 20
	// examples is how many skipped rows are named.
	examples = 3
)

// TooMany says whether more than 5 % of all rows are skipped.
func TooMany(skipped, all int64) bool { return skipped*tolerated > all }

// Read reads all files in order and gives each row that can be used to each, which may
// end the reading with an error. What is wrong with the data is an *Error.
func Read(ctx context.Context, files []File, options Options, each func(Row) error) (Summary, error) {
	if len(files) == 0 {
		return Summary{}, &Error{Problem: "there is no file", Fix: "name at least one file in parquet, jsonl, json, csv or arrow"}
	}
	r := &reading{ctx: ctx, options: options, each: each, seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
	digests := sha256.New()
	for _, f := range files {
		if err := r.file(f); err != nil {
			return r.sum, err
		}
		_, _ = fmt.Fprintln(digests, r.sum.Files[len(r.sum.Files)-1].SHA256)
	}
	r.sum.Digest = "sha256:" + hex.EncodeToString(digests.Sum(nil))
	return r.sum, r.judge()
}

// reading is one pass over a data set.
type reading struct {
	ctx     context.Context //nolint:containedctx // of this one call
	options Options
	each    func(Row) error
	sum     Summary
	seed    maphash.Seed
	seen    map[uint64]struct{}
	// name is the file that is being read, number the row.
	name   string
	number int64
	layout *layout
}

// records gives the rows of one file, one after the other, and io.EOF behind the last.
type records interface {
	// columns are the names of the columns, where the format knows them before the rows; else nil.
	columns() []string
	// want says which columns are read; it is called before the first row, where columns are known, or after it.
	want(names []string)
	// next is the next row: an object whose members are its columns.
	next() (value, error)
}

// file reads one file.
func (r *reading) file(f File) error {
	r.name, r.number, r.layout = f.Name, 0, nil
	h, err := f.Open(r.ctx)
	if err != nil {
		return fmt.Errorf("open %q: %w", f.Name, err)
	}
	defer func() { _ = h.Close() }() // it was only read
	if f.SHA256 == "" {
		if f.SHA256, err = digest(h, f.Size); err != nil {
			return fmt.Errorf("read %q: %w", f.Name, err)
		}
	}
	format, rows, err := open(h, f, r.options.Extension)
	if err == nil {
		err = r.rows(rows)
	}
	if err != nil {
		return r.at(err)
	}
	if r.number == 0 {
		return &Error{File: f.Name, Problem: "it has no rows", Fix: "leave the file out or fill it"}
	}
	r.sum.Bytes += f.Size
	r.sum.Files = append(r.sum.Files, FileSummary{Name: f.Name, Format: format, Bytes: f.Size, Rows: r.number, SHA256: f.SHA256})
	return nil
}

// stop is how the receiver of rows ends a reading; it passes as it is.
type stop struct{ error }

func (s stop) Unwrap() error { return s.error }

// at adds to an error where it is.
func (r *reading) at(err error) error {
	var mine *Error
	if errors.As(err, &mine) {
		if mine.File == "" {
			mine.File = r.name
		}
		return mine
	}
	var passed stop
	if errors.As(err, &passed) {
		return passed.error
	}
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	return fmt.Errorf("read %q behind row %d: %w", r.name, r.number, err)
}

// rows reads all rows of a file.
func (r *reading) rows(rows records) error {
	if names := rows.columns(); names != nil {
		if err := r.lay(names); err != nil {
			return err
		}
		rows.want(r.layout.needs())
	}
	for {
		v, err := rows.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return place(err, r.number+1)
		}
		r.number++
		if r.number%1024 == 0 && r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		if v.kind != kindObject {
			return &Error{Row: r.number, Problem: fmt.Sprintf("the row is %s, not an object with columns", v.kind), Fix: "write each row as an object such as {\"text\": \"…\"}"}
		}
		if r.layout == nil {
			if err := r.lay(names(v)); err != nil {
				return place(err, r.number)
			}
			rows.want(r.layout.needs())
		}
		if err := r.row(v); err != nil {
			return err
		}
	}
}

// lay decides what the columns mean, and that they mean the same as in the files before.
func (r *reading) lay(names []string) error {
	l, err := lay(names, r.options)
	if err != nil {
		return err
	}
	if r.sum.Shape != "" && r.sum.Shape != l.shape {
		return &Error{
			Problem: fmt.Sprintf("its rows are of the shape %s, those of %q are %s", l.shape, r.sum.Files[0].Name, r.sum.Shape),
			Fix:     "use files of one shape in a data set",
		}
	}
	r.layout, r.sum.Shape = l, l.shape
	return nil
}

func (r *reading) row(v value) error {
	row, empty, err := r.layout.row(v)
	if err != nil {
		return place(err, r.number)
	}
	if empty {
		r.sum.EmptyRows++
		if len(r.sum.FirstEmpty) < examples {
			r.sum.FirstEmpty = append(r.sum.FirstEmpty, Place{r.name, r.number})
		}
		return nil
	}
	row.File, row.Number = r.name, r.number
	r.sum.Rows++
	r.count(row)
	if err := r.each(row); err != nil {
		return stop{err}
	}
	return nil
}

// count notices a row that has been there before.
func (r *reading) count(row Row) {
	var h maphash.Hash
	h.SetSeed(r.seed)
	_, _ = h.WriteString(row.Text)
	for _, m := range row.Messages {
		_, _ = h.WriteString(m.Role)
		_ = h.WriteByte(0)
		_, _ = h.WriteString(m.Content)
		_ = h.WriteByte(0)
	}
	sum := h.Sum64()
	if _, ok := r.seen[sum]; ok {
		r.sum.DuplicateRows++
		return
	}
	if len(r.seen) >= remembered {
		r.sum.AtLeast = true
		return
	}
	r.seen[sum] = struct{}{}
}

// judge says whether too much was skipped.
func (r *reading) judge() error {
	all := r.sum.Rows + r.sum.EmptyRows
	if !TooMany(r.sum.EmptyRows, all) {
		return nil
	}
	first := r.sum.FirstEmpty[0]
	return &Error{
		File: first.File, Row: first.Row,
		Problem: fmt.Sprintf("%d of %d rows are empty, more than 5 %%; this is the first", r.sum.EmptyRows, all),
		Fix:     "remove rows without a question or an answer",
	}
}

// digest is the sha256 of a file in hex; the file stands at its beginning afterwards.
func digest(h Handle, size int64) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(h, 0, size)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
