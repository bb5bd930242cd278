package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// unpackedBuffer bounds one buffer of a compressed Arrow batch, as it is in memory.
const unpackedBuffer = 1 << 30

// arrowClaims looks at the blocks of an Arrow file, or at the messages of a stream. The ids
// of fields below are those of Arrow's Schema.fbs, Message.fbs and File.fbs.
func arrowClaims(h io.ReaderAt, size int64, head []byte) error {
	if bytes.HasPrefix(head, []byte("ARROW1")) {
		return footerClaims(h, size)
	}
	for at := int64(0); at+8 <= size; {
		next, err := messageClaims(h, at, size)
		if err != nil || next == 0 {
			return err
		}
		at = next
	}
	return nil
}

// messageClaims looks at a message and says where the next begins; 0 is the end of the stream.
func messageClaims(h io.ReaderAt, at, size int64) (int64, error) {
	raw, begin, err := messageAt(h, at, size)
	if err != nil || raw == nil {
		return 0, err
	}
	message, body := flat{raw, rootOf(raw)}, begin+int64(len(raw))
	next := body + message.int64(3)
	if next < body || next > size {
		return 0, errClaims
	}
	message.tables(4)
	kind, header := message.field(1), message.table(2)
	if kind == 0 || header.raw == nil {
		return next, nil
	}
	const schema, dictionary, batch = 1, 2, 3
	switch raw[kind] {
	case schema:
		return next, header.schema()
	case dictionary:
		if header = header.table(1); header.raw == nil {
			return next, nil
		}
		return next, batchClaims(h, header, body, size)
	case batch:
		return next, batchClaims(h, header, body, size)
	}
	return next, nil
}

// batchClaims looks at the buffers of a batch: with compression each begins with its size in memory.
func batchClaims(h io.ReaderAt, batch flat, body, size int64) error {
	batch.vector(1, 16)
	buffers := batch.vector(2, 16)
	batch.vector(4, 8)
	if batch.table(3).raw == nil {
		return nil
	}
	for ; len(buffers) > 0; buffers = buffers[16:] {
		offset, length := int64(binary.LittleEndian.Uint64(buffers)), int64(binary.LittleEndian.Uint64(buffers[8:]))
		if length < 8 {
			continue
		}
		var unpacked [8]byte
		if offset < 0 || body+offset+8 > size {
			return errClaims
		}
		if _, err := h.ReadAt(unpacked[:], body+offset); err != nil {
			return fmt.Errorf("read a buffer: %w", err)
		}
		if n := int64(binary.LittleEndian.Uint64(unpacked[:])); n > unpackedBuffer {
			return errClaims
		}
	}
	return nil
}

// schema looks at all fields of a schema.
func (f flat) schema() error {
	f.tables(2)
	f.vector(3, 8)
	for _, field := range f.tables(1) {
		if err := field.column(0); err != nil {
			return err
		}
	}
	return nil
}

// column looks at a field and those below it.
func (f flat) column(depth int) error {
	const deepest = 64
	if depth > deepest {
		return fmt.Errorf("its columns are nested more than %d deep", deepest)
	}
	f.tables(6)
	if kind, of := f.field(2), f.table(3); kind != 0 && of.raw != nil && f.raw[kind] == 14 { // a union has a list of its kinds
		of.vector(1, 4)
	}
	for _, child := range f.tables(5) {
		if err := child.column(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// messageAt reads the metadata of a message and says where it begins; nil is the end of the stream.
func messageAt(h io.ReaderAt, at, size int64) ([]byte, int64, error) {
	var sizes [8]byte
	if _, err := h.ReadAt(sizes[:], at); err != nil {
		return nil, 0, fmt.Errorf("read a message: %w", err)
	}
	begin, length := at+8, int64(binary.LittleEndian.Uint32(sizes[4:]))
	if first := binary.LittleEndian.Uint32(sizes[:]); first != 0xffffffff { // before Arrow 0.15
		begin, length = at+4, int64(first)
	}
	if length == 0 {
		return nil, 0, nil
	}
	if begin+length > size {
		return nil, 0, errClaims
	}
	raw := make([]byte, length)
	if _, err := h.ReadAt(raw, begin); err != nil {
		return nil, 0, fmt.Errorf("read a message: %w", err)
	}
	return raw, begin, nil
}

// footerClaims looks at the footer: the file ends with it, its length in four bytes, and ARROW1.
func footerClaims(h io.ReaderAt, size int64) error {
	const ends, block = 10, 24
	tail := make([]byte, ends)
	if size < 2*ends {
		return io.ErrUnexpectedEOF
	}
	if _, err := h.ReadAt(tail, size-ends); err != nil {
		return fmt.Errorf("read its end: %w", err)
	}
	length := int64(binary.LittleEndian.Uint32(tail))
	if !bytes.HasSuffix(tail, []byte("ARROW1")) || length > size-2*ends {
		return errClaims
	}
	raw := make([]byte, length)
	if _, err := h.ReadAt(raw, size-ends-length); err != nil {
		return fmt.Errorf("read its end: %w", err)
	}
	footer := flat{raw, rootOf(raw)}
	footer.tables(4)
	if schema := footer.table(1); schema.raw != nil {
		if err := schema.schema(); err != nil {
			return err
		}
	}
	for _, field := range []int{2, 3} {
		for blocks := footer.vector(field, block); len(blocks) > 0; blocks = blocks[block:] {
			if !blockFits(blocks, size) {
				return errClaims
			}
			if _, err := messageClaims(h, int64(binary.LittleEndian.Uint64(blocks)), size); err != nil {
				return err
			}
		}
	}
	return nil
}

// blockFits says whether a block of the footer lies in the file: offset, length of the metadata, length of the body.
func blockFits(b []byte, size int64) bool {
	offset, meta, body := int64(binary.LittleEndian.Uint64(b)), int64(int32(binary.LittleEndian.Uint32(b[8:]))), int64(binary.LittleEndian.Uint64(b[16:]))
	return offset >= 0 && meta >= 0 && body >= 0 && offset+8 <= size && body <= size && offset+meta+body <= size
}

// flat is a table in a flatbuffer. Offsets and lengths that lead out of it panic, see guarded.
type flat struct {
	raw []byte
	at  int
}

func rootOf(raw []byte) int { return int(binary.LittleEndian.Uint32(raw)) }

// field is where a field stands, or 0.
func (f flat) field(id int) int {
	table := f.at - int(int32(binary.LittleEndian.Uint32(f.raw[f.at:])))
	slot := 4 + 2*id
	if int(binary.LittleEndian.Uint16(f.raw[table:])) < slot+2 {
		return 0
	}
	offset := int(binary.LittleEndian.Uint16(f.raw[table+slot:]))
	if offset == 0 {
		return 0
	}
	return f.at + offset
}

func (f flat) int64(id int) int64 {
	at := f.field(id)
	if at == 0 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(f.raw[at:]))
}

// table is the table in a field; one that is not there has no bytes.
func (f flat) table(id int) flat {
	at := f.field(id)
	if at == 0 {
		return flat{}
	}
	return flat{f.raw, at + int(binary.LittleEndian.Uint32(f.raw[at:]))}
}

// tables are the tables of a vector.
func (f flat) tables(id int) []flat {
	const width = 4
	all := f.vector(id, width)
	begin := cap(f.raw) - cap(all)
	var out []flat
	for i := 0; i < len(all); i += width {
		out = append(out, flat{f.raw, begin + i + int(binary.LittleEndian.Uint32(all[i:]))})
	}
	return out
}

// vector is the bytes of a vector of elements of so many bytes.
func (f flat) vector(id, width int) []byte {
	at := f.field(id)
	if at == 0 {
		return nil
	}
	at += int(binary.LittleEndian.Uint32(f.raw[at:]))
	n := int(binary.LittleEndian.Uint32(f.raw[at:]))
	return f.raw[at+4 : at+4+n*width]
}
