// Package progress tells a person what a command does, step by step, each with
// the time since the command began.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Printer prints steps.
type Printer struct {
	mu    sync.Mutex
	out   io.Writer
	now   func() time.Time
	begin time.Time
}

// New makes a printer whose clock starts now.
func New(out io.Writer, now func() time.Time) *Printer {
	return &Printer{out: out, now: now, begin: now()}
}

// Step says what was done.
func (p *Printer) Step(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A person who has closed the terminal is no reason to stop half-way.
	_, _ = fmt.Fprintf(p.out, "%6.2fs  %s\n", p.now().Sub(p.begin).Seconds(), fmt.Sprintf(format, args...))
}
