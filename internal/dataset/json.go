package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// lines reads JSON lines.
type lines struct {
	in   *bufio.Reader
	dec  *jsontext.Decoder
	text bytes.Reader
	only []string
	long []byte
}

func openLines(in *bufio.Reader) records {
	l := &lines{in: in}
	l.dec = jsontext.NewDecoder(&l.text)
	return l
}

func (l *lines) columns() []string   { return nil }
func (l *lines) want(names []string) { l.only = names }

func (l *lines) next() (value, error) {
	for {
		line, err := l.line()
		if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			l.text.Reset(trimmed)
			l.dec.Reset(&l.text)
			v, wrong := read(l.dec, l.only)
			if wrong == nil {
				wrong = atEnd(l.dec)
			}
			return v, invalid(wrong)
		}
		if err != nil {
			return value{}, unpacking(err)
		}
	}
}

// line is the next line, held until the next call.
func (l *lines) line() ([]byte, error) {
	part, err := l.in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return part, err
	}
	l.long = l.long[:0]
	for errors.Is(err, bufio.ErrBufferFull) {
		if l.long = append(l.long, part...); len(l.long) > rowLimit {
			return nil, tooLong()
		}
		part, err = l.in.ReadSlice('\n')
	}
	l.long = append(l.long, part...)
	return l.long, err
}

func tooLong() error {
	return &Error{Problem: fmt.Sprintf("the row is longer than %d MiB", rowLimit>>20), Fix: "write one row a line, or split the row"}
}

// atEnd refuses what stands behind a value on its line.
func atEnd(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one value on the line")
	}
	return nil
}

// invalid says what is wrong with a row's JSON.
func invalid(err error) error {
	var mine *Error
	if err == nil || errors.As(err, &mine) || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Problem: "it is cut off in the middle of a row", Fix: "fetch or write the file again"}
	}
	return &Error{Problem: fmt.Sprintf("it is not valid JSON: %v", err), Fix: "write one object a line, or a list of objects, in UTF-8"}
}

// unpacking tells what is wrong with compressed text from its end.
func unpacking(err error) error {
	var mine *Error
	if errors.Is(err, io.EOF) || errors.As(err, &mine) {
		return err
	}
	return broken("text", err)
}

// document reads the rows of one JSON document.
type document struct {
	dec   *jsontext.Decoder
	limit *limited
	only  []string
	begun bool
}

func openJSON(in io.Reader) records {
	limit := &limited{from: in, left: rowLimit}
	return &document{dec: jsontext.NewDecoder(limit), limit: limit}
}

func (d *document) columns() []string   { return nil }
func (d *document) want(names []string) { d.only = names }

func (d *document) next() (value, error) {
	d.limit.left = rowLimit
	if !d.begun {
		if err := d.begin(); err != nil {
			return value{}, invalid(err)
		}
		d.begun = true
	}
	if d.dec.PeekKind() == ']' {
		return value{}, io.EOF
	}
	v, err := read(d.dec, d.only)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return v, invalid(err)
}

// begin goes to the list of rows: the document itself, or its member data, rows or train.
func (d *document) begin() error {
	token, err := d.dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() == '[' {
		return nil
	}
	var met []string
	for token.Kind() == '{' && d.dec.PeekKind() == '"' {
		name, err := d.dec.ReadToken()
		if err != nil {
			return err
		}
		member := name.String()
		if met = append(met, member); d.dec.PeekKind() == '[' && slices.Contains([]string{"data", "rows", "train"}, member) {
			_, err := d.dec.ReadToken()
			return err
		}
		if err := d.dec.SkipValue(); err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return err
	}
	return &Error{Problem: "it is one object without a list of rows; it has " + list(met), Fix: "write a list of objects, or one object a line"}
}

// limited ends a row that does not end.
type limited struct {
	from io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, tooLong()
	}
	n, err := l.from.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// parse reads one value.
func parse(text []byte) (value, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	v, err := read(dec, nil)
	if err != nil {
		return v, err
	}
	return v, atEnd(dec)
}

// Room for what most rows have: a few turns of role and content.
const usualTurns, usualMembers = 4, 2

// tree reads one row's values, at most valueLimit.
type tree struct {
	dec  *jsontext.Decoder
	left int
}

// read reads the next value. Of an object it keeps only the members named, or all when none is.
func read(dec *jsontext.Decoder, only []string) (value, error) {
	return (&tree{dec, valueLimit}).read(only)
}

func (r *tree) read(only []string) (value, error) {
	token, err := r.dec.ReadToken()
	if err != nil {
		return value{}, err
	}
	if r.left--; r.left < 0 {
		return value{}, tooMany()
	}
	switch token.Kind() {
	case '"':
		return textual(token.String()), nil
	case 'n':
		return value{kind: kindNull}, nil
	case '[':
		return r.elements()
	case '{':
		return r.object(only)
	}
	return value{kind: kindOther}, nil
}

func (r *tree) elements() (value, error) {
	v := value{kind: kindList}
	for r.dec.PeekKind() != ']' {
		if v.list == nil {
			v.list = make([]value, 0, usualTurns)
		}
		element, err := r.read(nil)
		if err != nil {
			return v, err
		}
		v.list = append(v.list, element)
	}
	_, err := r.dec.ReadToken()
	return v, err
}

func (r *tree) object(only []string) (value, error) {
	v := value{kind: kindObject}
	for r.dec.PeekKind() != '}' {
		name, err := r.dec.ReadToken()
		if err != nil {
			return v, err
		}
		key := known(name, only)
		if only != nil && key == "" {
			if err := r.dec.SkipValue(); err != nil {
				return v, err
			}
			continue
		}
		inner, err := r.read(nil)
		if err != nil {
			return v, err
		}
		if v.members == nil {
			v.members = make([]member, 0, usualMembers)
		}
		v.members = append(v.members, member{key, inner})
	}
	_, err := r.dec.ReadToken()
	return v, err
}

// known is the name of a member; it is empty where others are wanted.
func known(name jsontext.Token, only []string) string {
	text := name.String()
	if only == nil || slices.Contains(only, text) {
		return text
	}
	return ""
}
