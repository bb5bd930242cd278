package data

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"kaito.sh/kaito/internal/dataset"
	"kaito.sh/kaito/internal/runner/contract"
)

// unfinished is added to the name of a file until it is whole.
const unfinished = ".new"

// encoded is what the tokenizer made of a row. Only a row that may be used has ids.
type encoded struct {
	contract.Row
	tokens  int
	problem string
}

// takeRow receives rows in their order.
type takeRow func(dataset.Place, *encoded) error

// rowsFile is the file of rows on its way.
type rowsFile struct {
	path string
	file *os.File
	out  *bufio.Writer
	line []byte
}

func createRows(path string) (*rowsFile, error) {
	file, err := os.Create(path + unfinished)
	if err != nil {
		return nil, fmt.Errorf("create the file of rows: %w", err)
	}
	return &rowsFile{path: path, file: file, out: bufio.NewWriterSize(file, 1<<20)}, nil
}

// add appends a row: what json.Marshal would write, in a tenth of its time.
func (f *rowsFile) add(row *contract.Row) error {
	line := append(f.line[:0], `{"ids":[`...)
	for i, id := range row.IDs {
		if i > 0 {
			line = append(line, ',')
		}
		line = strconv.AppendInt(line, int64(id), 10)
	}
	line = append(line, `],"train":[`...)
	for i, r := range row.Train {
		if i > 0 {
			line = append(line, ',')
		}
		line = fmt.Appendf(line, "[%d,%d]", r[0], r[1])
	}
	f.line = append(line, "]}\n"...)
	if _, err := f.out.Write(f.line); err != nil {
		return fmt.Errorf("write the rows: %w", err)
	}
	return nil
}

// keep gives the file its name.
func (f *rowsFile) keep() error {
	if err := f.out.Flush(); err != nil {
		return fmt.Errorf("write the rows: %w", err)
	}
	if err := f.file.Close(); err != nil {
		return fmt.Errorf("write the rows: %w", err)
	}
	if err := os.Rename(f.path+unfinished, f.path); err != nil {
		return fmt.Errorf("name the file of rows: %w", err)
	}
	return nil
}

// discard removes what has no name yet.
func (f *rowsFile) discard() {
	_ = f.file.Close()                 // it may be closed
	_ = os.Remove(f.path + unfinished) // it may be gone
}

func writeSummary(path string, sum contract.Dataset) error {
	raw, err := json.Marshal(sum)
	if err == nil {
		err = os.WriteFile(path+unfinished, append(raw, '\n'), 0o644)
	}
	if err == nil {
		err = os.Rename(path+unfinished, path)
	}
	if err != nil {
		return fmt.Errorf("write what sums the data up: %w", err)
	}
	return nil
}
