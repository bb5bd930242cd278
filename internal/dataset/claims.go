package dataset

import (
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
