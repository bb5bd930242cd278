package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The formats, by the names that users see.
const (
	formatParquet = "parquet"
	formatJSONL   = "jsonl"
	formatJSON    = "json"
	formatCSV     = "csv"
	formatArrow   = "arrow"
)

func formats() []string {
	return []string{formatArrow, formatCSV, formatJSON, formatJSONL, formatParquet}
}

const (
	// peeked is how much of a text is looked at to know its format.
	peeked = 64 << 10
	// rowLimit bounds one row of text.
	rowLimit = 32 << 20
	// valueLimit bounds the values of a row: each takes more memory than its letters.
	valueLimit = 1_000_000
	// unpackedMost bounds the memory of a zstd window.
	unpackedMost = 128 << 20
)

// open finds out what a file is, by its content first, and reads its head.
func open(h Handle, f File, extension string) (string, records, error) {
	extension = strings.ToLower(strings.TrimPrefix(extension, "."))
	if extension != "" && !slices.Contains(formats(), extension) {
		return "", nil, &Error{Problem: quoted(extension) + " is no format", Fix: "use one of " + strings.Join(formats(), ", ")}
	}
	head := make([]byte, 8)
	n, err := h.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", nil, err
	}
	head = head[:n]
	switch {
	case n == 0:
		return "", nil, &Error{Problem: "it is empty", Fix: "leave the file out or fill it"}
	case bytes.HasPrefix(head, []byte("PAR1")):
		rows, err := openParquet(h, f.Size)
		return formatParquet, rows, err
	case bytes.HasPrefix(head, []byte("ARROW1")), bytes.HasPrefix(head, []byte{0xff, 0xff, 0xff, 0xff}):
		rows, err := openArrow(h, f.Size, head)
		return formatArrow, rows, err
	}
	name := strings.ToLower(f.Name)
	var from io.Reader = h
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		if from, err = gzip.NewReader(h); err != nil {
			return "", nil, broken("gzip", err)
		}
		name = strings.TrimSuffix(name, ".gz")
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(h, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(unpackedMost))
		if err != nil {
			return "", nil, broken("zstd", err)
		}
		from, name = z, strings.TrimSuffix(strings.TrimSuffix(name, ".zst"), ".zstd")
	}
	if extension == "" {
		extension = strings.TrimPrefix(path.Ext(name), ".")
	}
	return openText(from, extension)
}

// openText tells text formats apart.
func openText(from io.Reader, extension string) (string, records, error) {
	in := bufio.NewReaderSize(from, peeked)
	start, err := in.Peek(peeked)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", nil, broken("compressed data", err)
	}
	if bytes.HasPrefix(start, []byte("\xef\xbb\xbf")) {
		_, _ = in.Discard(3)
		start = start[3:]
	}
	trimmed := bytes.TrimLeft(start, " \t\r\n")
	if len(trimmed) == 0 && len(start) < peeked-3 {
		return "", nil, &Error{Problem: "it is empty", Fix: "leave the file out or fill it"}
	}
	if err := mistaken(start, trimmed, extension); err != nil {
		return "", nil, err
	}
	return told(in, trimmed, extension)
}

// told goes by the first character of a text.
func told(in *bufio.Reader, trimmed []byte, extension string) (string, records, error) {
	switch {
	case extension == formatCSV:
		return formatCSV, openCSV(in), nil
	case bytes.HasPrefix(trimmed, []byte("[")):
		return formatJSON, openJSON(in), nil
	case bytes.HasPrefix(trimmed, []byte("{")) && oneLine(trimmed, extension):
		return formatJSONL, openLines(in), nil
	case bytes.HasPrefix(trimmed, []byte("{")):
		return formatJSON, openJSON(in), nil
	case extension == formatJSON || extension == formatJSONL:
		return "", nil, &Error{Problem: fmt.Sprintf("it is called %s and begins with %q", extension, trimmed[:min(len(trimmed), 16)]), Fix: "write one object a line, or a list of objects"}
	}
	return "", nil, &Error{
		Problem: "it is of no format that is known",
		Fix:     "use " + strings.Join(formats(), ", ") + "; where the content does not tell, the name must end so",
	}
}

// mistaken knows what is often taken for data.
func mistaken(start, trimmed []byte, extension string) error {
	lower := strings.ToLower(string(trimmed[:min(len(trimmed), 64)]))
	switch {
	case bytes.IndexByte(start, 0) >= 0:
		return &Error{Problem: "it is of no format that is known", Fix: "use " + strings.Join(formats(), ", ")}
	case strings.HasPrefix(lower, "<!doctype") || strings.HasPrefix(lower, "<html") || strings.HasPrefix(lower, "<?xml"):
		return &Error{Problem: "it is a web page, not data", Fix: "take the address of the file itself: at a hub that is the one with /resolve/ instead of /blob/"}
	case strings.HasPrefix(lower, "version https://git-lfs"):
		return &Error{Problem: "it is the pointer of a file in Git LFS, not the file", Fix: "run git lfs pull, or take the file's own address"}
	case extension == formatParquet || extension == formatArrow:
		return &Error{Problem: "it is called " + extension + " and is text", Fix: "look at what the address gives; it may be an error message"}
	}
	return nil
}

// oneLine is true of text whose first line is a whole object: lines of JSON rather than one document.
func oneLine(start []byte, extension string) bool {
	line, _, found := bytes.Cut(start, []byte("\n"))
	if !found {
		return extension != formatJSON || len(start) >= peeked-3
	}
	v, err := parse(bytes.TrimSpace(line))
	return err == nil && v.kind == kindObject || extension == formatJSONL
}

// broken is the answer to compressed data that cannot be unpacked.
func broken(what string, err error) error {
	return &Error{Problem: fmt.Sprintf("its %s cannot be read: %v", what, err), Fix: "the file is cut off or damaged: fetch or write it again"}
}
