package dataset

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// pages reads the wanted columns of a parquet file side by side.
type pages struct {
	file *parquet.File
	only []*column
}

// column is one column of the file's top level.
type column struct {
	name   string
	root   *node
	leaves []*leaf
	row    [][]parquet.Value
}

// node is one step of the tree below a column.
type node struct {
	optional, repeated, text bool
	// list is a group that stands for a list; unwrap its repeated part, of which one element is the only child.
	list, unwrap bool
	// def and rep are the levels up to this node; first is its first leaf, behind the last.
	def, rep      int
	first, behind int
	name          string
	children      []*node
}

func openParquet(h io.ReaderAt, size int64) (records, error) {
	var f *parquet.File
	err := guarded(func() (err error) {
		if err := parquetClaims(h, size); err != nil {
			return err
		}
		f, err = parquet.OpenFile(h, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
		return err
	})
	if err != nil {
		return nil, damaged(formatParquet, err)
	}
	return &pages{file: f}, nil
}

// guarded turns a panic of a reader over damaged bytes into an error.
func guarded(do func() error) (err error) {
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case *Error:
			err = cause
		default:
			err = fmt.Errorf("the reader gave up: %v", cause)
		}
	}()
	return do()
}

func damaged(format string, err error) error {
	var mine *Error
	if errors.As(err, &mine) {
		return mine
	}
	return &Error{Problem: fmt.Sprintf("it is no whole %s file: %v", format, err), Fix: "it is cut off or damaged: fetch or write it again"}
}

func (p *pages) columns() []string {
	all := []string{}
	for _, c := range p.file.Root().Columns() {
		all = append(all, c.Name())
	}
	return all
}

func (p *pages) want(names []string) {
	for _, c := range p.file.Root().Columns() {
		if !slices.Contains(names, c.Name()) {
			continue
		}
		col := &column{name: c.Name()}
		col.root = col.grow(c)
		col.row = make([][]parquet.Value, len(col.leaves))
		p.only = append(p.only, col)
	}
}

// grow makes the tree below a column of the file.
func (c *column) grow(of *parquet.Column) *node {
	n := &node{
		name: of.Name(), optional: of.Optional(), repeated: of.Repeated(),
		def: of.MaxDefinitionLevel(), rep: of.MaxRepetitionLevel(), first: len(c.leaves),
	}
	if of.Leaf() {
		kind := of.Type().Kind()
		n.text = kind == parquet.ByteArray || kind == parquet.FixedLenByteArray
		c.leaves = append(c.leaves, &leaf{pages: of.Pages()})
	}
	for _, child := range of.Columns() {
		n.children = append(n.children, c.grow(child))
	}
	n.behind = len(c.leaves)
	// The specification of parquet, "Lists": a group whose only child is repeated; that one has a
	// single child, the element, except where an old writer left the step out.
	if len(n.children) == 1 && n.children[0].repeated && !n.repeated {
		n.list = true
		inner := n.children[0]
		inner.unwrap = len(inner.children) == 1 && inner.name != "array" && !strings.HasSuffix(inner.name, "_tuple")
	}
	return n
}

func (p *pages) next() (value, error) {
	v := value{kind: kindObject, members: make([]member, 0, len(p.only))}
	err := guarded(func() error {
		for _, c := range p.only {
			if err := c.next(); err != nil {
				return err
			}
			v.members = append(v.members, member{c.name, c.root.value(c.row)})
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return v, damaged(formatParquet, err)
	}
	return v, err
}

// next reads the values of the next row.
func (c *column) next() (err error) {
	for i, l := range c.leaves {
		if c.row[i], err = l.next(c.row[i][:0]); err != nil {
			return err
		}
	}
	return nil
}

// value assembles what levels have taken apart.
func (n *node) value(row [][]parquet.Value) value {
	values := row[n.first]
	there := len(values) > 0 && values[0].DefinitionLevel() >= n.def
	switch {
	case n.repeated:
		v := value{kind: kindList}
		if there {
			n.split(row, func(part [][]parquet.Value) { v.list = append(v.list, n.element(part)) })
		}
		return v
	case n.optional && !there:
		return value{kind: kindNull}
	}
	return n.element(row)
}

// split gives each element of a repeated node its values.
func (n *node) split(row [][]parquet.Value, each func([][]parquet.Value)) {
	part, at := make([][]parquet.Value, len(row)), make([]int, len(row))
	for more := true; more; {
		for i := n.first; i < n.behind; i++ {
			end := at[i] + 1
			for end < len(row[i]) && row[i][end].RepetitionLevel() > n.rep {
				end++
			}
			part[i], at[i] = row[i][at[i]:end], end
		}
		each(part)
		more = at[n.first] < len(row[n.first])
	}
}

// element is one value of a node that is there.
func (n *node) element(row [][]parquet.Value) value {
	switch {
	case n.list || n.unwrap:
		return n.children[0].value(row)
	case len(n.children) > 0:
		v := value{kind: kindObject, members: make([]member, 0, len(n.children))}
		for _, c := range n.children {
			v.members = append(v.members, member{c.name, c.value(row)})
		}
		return v
	case !n.text:
		return value{kind: kindOther}
	}
	return textual(string(row[n.first][0].ByteArray()))
}

// leaf reads the values of one leaf through all row groups.
type leaf struct {
	pages  parquet.Pages
	values parquet.ValueReader
	buffer []parquet.Value
	at     int
}

// buffered is how many values are read at once.
const buffered = 512

// next appends the values of the next row to row.
func (l *leaf) next(row []parquet.Value) ([]parquet.Value, error) {
	for {
		if l.at < len(l.buffer) {
			v := l.buffer[l.at]
			if len(row) > 0 && v.RepetitionLevel() == 0 {
				return row, nil
			}
			if len(row) >= valueLimit {
				return row, tooMany()
			}
			row = append(row, v)
			l.at++
			continue
		}
		err := l.fill(row)
		if errors.Is(err, io.EOF) && len(row) > 0 {
			return row, nil
		}
		if err != nil {
			return row, err
		}
	}
}

// fill reads on. What a row holds of the page before is kept, because a page may be used again.
func (l *leaf) fill(row []parquet.Value) error {
	if l.buffer == nil {
		l.buffer = make([]parquet.Value, 0, buffered)
	}
	for {
		if l.values != nil {
			n, err := l.values.ReadValues(l.buffer[:cap(l.buffer)])
			l.buffer, l.at = l.buffer[:n], 0
			if n > 0 {
				return nil
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			for i := range row {
				row[i] = row[i].Clone()
			}
		}
		page, err := l.pages.ReadPage()
		if err != nil {
			return err
		}
		l.values = page.Values()
	}
}
