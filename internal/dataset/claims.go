package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The readers of parquet and Arrow make room for as much as a file says that it has. What
// it says is compared with what it is before they see it.

// errClaims is a file that says it is larger than it is.
var errClaims = errors.New("it claims to be larger than it is")

// parquetClaims looks at the length of the footer: the file ends with it in four bytes, and PAR1.
func parquetClaims(h io.ReaderAt, size int64) error {
	const ends = 8 // length and magic; the file begins with magic too
	tail := make([]byte, ends)
	if size < 12 {
		return io.ErrUnexpectedEOF
	}
	if _, err := h.ReadAt(tail, size-ends); err != nil {
		return fmt.Errorf("read its end: %w", err)
	}
	if int64(binary.LittleEndian.Uint32(tail)) > size-12 {
		return errClaims
	}
	return nil
}

// arrowClaims looks at the blocks of an Arrow file, or at the messages of a stream.
func arrowClaims(h io.ReaderAt, size int64, head []byte) error {
	if bytes.HasPrefix(head, []byte("ARROW1")) {
		return footerClaims(h, size)
	}
	for at := int64(0); at+8 <= size; {
		meta, begin, err := messageAt(h, at, size)
		if err != nil || meta == nil {
			return err
		}
		const bodyLength = 3 // of a Message, in Arrow's Message.fbs
		body := flat{meta, rootOf(meta)}.int64(bodyLength)
		at = begin + int64(len(meta)) + body
		if body < 0 || at > size {
			return errClaims
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
	meta := make([]byte, length)
	if _, err := h.ReadAt(meta, begin); err != nil {
		return nil, 0, fmt.Errorf("read a message: %w", err)
	}
	return meta, begin, nil
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
	const dictionaries, batches = 2, 3 // of a Footer, in Arrow's File.fbs
	for _, field := range []int{dictionaries, batches} {
		for blocks := (flat{raw, rootOf(raw)}).vector(field, block); len(blocks) > 0; blocks = blocks[block:] {
			if !blockFits(blocks, size) {
				return errClaims
			}
		}
	}
	return nil
}

// blockFits says whether a block of the footer lies in the file: offset, length of the metadata, length of the body.
func blockFits(b []byte, size int64) bool {
	offset, meta, body := int64(binary.LittleEndian.Uint64(b)), int64(int32(binary.LittleEndian.Uint32(b[8:]))), int64(binary.LittleEndian.Uint64(b[16:]))
	return offset >= 0 && meta >= 0 && body >= 0 && offset <= size && body <= size && offset+meta+body <= size
}

// flat is a table in a flatbuffer. Offsets that lead out of it panic, see guarded.
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

// vector is the bytes of a vector of structs of so many bytes.
func (f flat) vector(id, width int) []byte {
	at := f.field(id)
	if at == 0 {
		return nil
	}
	at += int(binary.LittleEndian.Uint32(f.raw[at:]))
	n := int(binary.LittleEndian.Uint32(f.raw[at:]))
	return f.raw[at+4 : at+4+n*width]
}
