package process

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// maxLine is where a line without end is cut, so that a progress bar cannot hold
// back everything that follows.
const maxLine = 64 << 10

// lineWriter passes whole lines on, so that two writers never mix within one line,
// and remembers the newest in a tail.
type lineWriter struct {
	to   io.Writer
	tail *tail

	mu  sync.Mutex
	buf []byte
}

// Write passes on what is complete and keeps the rest. It never fails: an engine must
// not die because nobody reads its log.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p...)
	for {
		end := bytes.IndexByte(w.buf, '\n') + 1
		if end == 0 {
			break
		}
		w.emit(w.buf[:end])
		w.buf = w.buf[end:]
	}
	if len(w.buf) >= maxLine {
		w.emit(append(w.buf, '\n'))
		w.buf = nil
	}
	return len(p), nil
}

// flush passes on a last line that has no end.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) > 0 {
		w.emit(append(w.buf, '\n'))
		w.buf = nil
	}
}

func (w *lineWriter) emit(line []byte) {
	_, _ = w.to.Write(line)
	w.tail.add(string(bytes.TrimRight(line, "\r\n")))
}

// tail keeps the newest lines, bounded in number and length.
type tail struct {
	mu    sync.Mutex
	lines []string
}

const (
	tailLines  = 40
	tailLength = 400 // bytes of one line
)

func (t *tail) add(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(line) > tailLength {
		line = line[:tailLength] + "…"
	}
	t.lines = append(t.lines, strings.ToValidUTF8(line, "?"))
	if len(t.lines) > tailLines {
		t.lines = t.lines[1:]
	}
}

func (t *tail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}
