package shell

import (
	"fmt"
	"strings"
	"time"
)

// Progress shows how far long work is: on a terminal one line that changes, else
// a line now and then.
type Progress struct {
	shell   Shell
	what    string
	started time.Time
	shown   time.Time
	drawn   bool
}

const (
	redraw = 100 * time.Millisecond
	relog  = 5 * time.Second
)

// Progress begins to show work. Nothing is shown before a while has passed, so
// that quick work stays quiet.
func (s Shell) Progress(what string) *Progress {
	now := s.Now()
	return &Progress{shell: s, what: what, started: now, shown: now}
}

// At shows done of total bytes.
func (p *Progress) At(done, total int64) {
	now := p.shell.Now()
	every := relog
	if p.shell.Terminal {
		every = redraw
	}
	if now.Sub(p.shown) < every {
		return
	}
	p.shown = now
	line := fmt.Sprintf("%s: %s of %s, %s/s", p.what, Bytes(done), Bytes(total), Bytes(rate(done, now.Sub(p.started))))
	if p.shell.Terminal {
		_, _ = fmt.Fprintf(p.shell.Err, "\r%-70s", line)
		p.drawn = true
		return
	}
	_, _ = fmt.Fprintln(p.shell.Err, line)
}

// Note prints a line that stays.
func (p *Progress) Note(text string) {
	p.wipe()
	_, _ = fmt.Fprintln(p.shell.Err, text)
}

// End wipes the line, and returns how long the work took.
func (p *Progress) End() time.Duration {
	p.wipe()
	return p.shell.Now().Sub(p.started)
}

func (p *Progress) wipe() {
	if p.drawn {
		_, _ = fmt.Fprint(p.shell.Err, "\r"+strings.Repeat(" ", 70)+"\r")
		p.drawn = false
	}
}

func rate(n int64, d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return int64(float64(n) / d.Seconds())
}

// Bytes is a size for people: 98 MB. Powers of ten, as disks and networks count.
func Bytes(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/1000, 0
	for f >= 999.5 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	if f < 10 {
		return fmt.Sprintf("%.1f %cB", f, units[i])
	}
	return fmt.Sprintf("%.0f %cB", f, units[i])
}

// Duration is a time for people: 350ms, 1.2s, 2m5s.
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
