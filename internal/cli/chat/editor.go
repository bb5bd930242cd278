package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/ergochat/readline"

	"kaito.sh/kaito/internal/cli/shell"
)

// What a terminal and we say to each other.
const (
	pasteOn    = "\x1b[?2004h"
	pasteOff   = "\x1b[?2004l"
	pasteBegin = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
	whereAmI   = "\x1b[6n"
	atTheStart = "\x1b[1;1R"
	// newline stands for the end of a line within a text that was pasted, until it is sent.
	newline = "⏎"
)

// editor reads lines from a terminal: cursor keys, history, characters of any width.
type editor struct {
	lines    *readline.Instance
	terminal io.Writer
}

func newEditor(sh shell.Shell) (*editor, error) {
	k := &keyboard{in: sh.In}
	lines, err := readline.NewFromConfig(&readline.Config{
		Prompt: ask, Stdin: k, Stdout: screen{sh.Err, k}, Stderr: sh.Err,
		// Questions stay in memory: they may be private.
		HistoryLimit: 1000, InterruptPrompt: "\n", EOFPrompt: "\n", Undo: true,
		FuncIsTerminal: func() bool { return true },
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	return &editor{lines: lines, terminal: sh.Err}, nil
}

// ReadLine reads one question, which may have several lines.
func (e *editor) ReadLine() (string, error) {
	_, _ = io.WriteString(e.terminal, pasteOn)
	defer func() { _, _ = io.WriteString(e.terminal, pasteOff) }()
	text, err := joined(func(prompt string) (string, error) {
		e.lines.SetPrompt(prompt)
		return e.lines.ReadLine()
	})
	if errors.Is(err, readline.ErrInterrupt) {
		return "", errEnd
	}
	return strings.ReplaceAll(text, newline, "\n"), err
}

// Close gives the terminal back.
func (e *editor) Close() { _ = e.lines.Close() }

// endWith ends a ReadLine with the context.
func (e *editor) endWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, e.Close)
}

// screen is the terminal without the question where its cursor is. The library
// asks before each prompt and waits for ever where a terminal does not answer;
// we always begin at the start of a line, so the answer is known.
type screen struct {
	to io.Writer
	k  *keyboard
}

func (s screen) Write(p []byte) (int, error) {
	rest, asked := bytes.CutSuffix(p, []byte(whereAmI))
	if asked {
		s.k.inject(atTheStart)
	}
	if _, err := s.to.Write(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

// keyboard is what is typed. Within a text that is pasted the end of a line does
// not send it.
type keyboard struct {
	in io.Reader

	mu     sync.Mutex
	ready  []byte
	paste  paste
	failed error
}

func (k *keyboard) inject(s string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ready = append(k.ready, s...)
}

// Read returns what is ready, or waits for one read of the terminal.
func (k *keyboard) Read(p []byte) (int, error) {
	for {
		k.mu.Lock()
		n := copy(p, k.ready)
		k.ready = k.ready[n:]
		failed := k.failed
		k.mu.Unlock()
		if n > 0 || len(p) == 0 {
			return n, nil
		}
		if failed != nil {
			return 0, failed
		}
		buffer := make([]byte, 4096)
		m, err := k.in.Read(buffer)
		k.mu.Lock()
		k.ready = append(k.ready, k.paste.translate(buffer[:m])...)
		if err != nil {
			k.ready = append(k.ready, k.paste.rest()...)
			k.failed = err
		}
		k.mu.Unlock()
	}
}

// paste follows where a pasted text begins and ends, in whatever pieces it comes.
type paste struct {
	inside bool
	// held may be the beginning of a mark.
	held []byte
	// returned is true after a carriage return, whose line feed says nothing new.
	returned bool
}

func (p *paste) translate(in []byte) []byte {
	var out []byte
	for _, b := range in {
		out = append(out, p.one(b)...)
	}
	return out
}

func (p *paste) one(b byte) []byte {
	mark := pasteBegin
	if p.inside {
		mark = pasteEnd
	}
	p.held = append(p.held, b)
	switch {
	case string(p.held) == mark:
		p.held, p.inside, p.returned = nil, !p.inside, false
		return nil
	case strings.HasPrefix(mark, string(p.held)):
		return nil
	}
	all := p.held
	p.held = nil
	// What was held is no mark; its last byte may begin one.
	if len(all) > 1 && all[len(all)-1] == mark[0] {
		return append(p.plain(all[:len(all)-1]), p.one(mark[0])...)
	}
	return p.plain(all)
}

// plain is text that belongs to no mark.
func (p *paste) plain(text []byte) []byte {
	if !p.inside {
		return text
	}
	var out []byte
	for _, b := range text {
		switch {
		case b == '\n' && p.returned:
		case b == '\r' || b == '\n':
			out = append(out, newline...)
		case b == '\t' || b >= ' ' && b != 0x7f:
			out = append(out, b)
		}
		p.returned = b == '\r'
	}
	return out
}

// rest is what was held when the input ended.
func (p *paste) rest() []byte {
	held := p.held
	p.held = nil
	return p.plain(held)
}
