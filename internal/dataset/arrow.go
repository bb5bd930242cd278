package dataset

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// batches reads an Arrow file or stream.
type batches struct {
	schema *arrow.Schema
	read   func() (arrow.RecordBatch, error)
	batch  arrow.RecordBatch
	at     int
	only   []int
}

func openArrow(h Handle, size int64, head []byte) (records, error) {
	b := &batches{}
	err := guarded(func() error {
		if err := arrowClaims(h, size, head); err != nil {
			return err
		}
		if bytes.HasPrefix(head, []byte("ARROW1")) {
			r, err := ipc.NewFileReader(h)
			if err != nil {
				return err
			}
			b.schema, b.read = r.Schema(), r.Read
			return nil
		}
		r, err := ipc.NewReader(h)
		if err != nil {
			return err
		}
		b.schema, b.read = r.Schema(), r.Read
		return nil
	})
	if err != nil {
		return nil, damaged(formatArrow, err)
	}
	return b, nil
}

func (b *batches) columns() []string {
	all := []string{}
	for _, f := range b.schema.Fields() {
		all = append(all, f.Name)
	}
	return all
}

func (b *batches) want(names []string) {
	for i, f := range b.schema.Fields() {
		if slices.Contains(names, f.Name) {
			b.only = append(b.only, i)
		}
	}
}

func (b *batches) next() (value, error) {
	v := value{kind: kindObject, members: make([]member, 0, len(b.only))}
	err := guarded(func() (err error) {
		for b.batch == nil || b.at >= int(b.batch.NumRows()) {
			if b.batch, err = b.read(); err != nil {
				return err
			}
			b.at = 0
		}
		for _, i := range b.only {
			v.members = append(v.members, member{b.batch.ColumnName(i), cellOf(b.batch.Column(i), b.at)})
		}
		b.at++
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return v, damaged(formatArrow, err)
	}
	return v, err
}

// cellOf is one cell of an Arrow array.
func cellOf(a arrow.Array, i int) value {
	if a.IsNull(i) {
		return value{kind: kindNull}
	}
	switch a := a.(type) {
	case *array.Dictionary:
		return cellOf(a.Dictionary(), a.GetValueIndex(i))
	case array.StringLike:
		return textual(string([]byte(a.Value(i)))) // the array's memory is used again
	case interface{ Value(int) []byte }:
		return textual(string(a.Value(i)))
	case array.ListLike:
		v := value{kind: kindList}
		from, to := a.ValueOffsets(i)
		if to-from > valueLimit {
			panic(tooMany()) // guarded turns it into an error, as it does with damaged bytes
		}
		for at := from; at < to; at++ {
			v.list = append(v.list, cellOf(a.ListValues(), int(at)))
		}
		return v
	case *array.Struct:
		v := value{kind: kindObject}
		kind, _ := a.DataType().(*arrow.StructType)
		for f := range a.NumField() {
			v.members = append(v.members, member{kind.Field(f).Name, cellOf(a.Field(f), i)})
		}
		return v
	}
	return value{kind: kindOther}
}
