package shell

import (
	"io"
	"strings"
	"unicode"
)

// Clean makes text of others harmless for a terminal: a control character, with
// which it could move the cursor or retitle the window, becomes its picture.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || !unicode.IsControl(r):
			return r
		case r < ' ':
			return '\u2400' + r // the pictures stand in the order of the characters
		case r == 0x7f:
			return '\u2421'
		}
		return unicode.ReplacementChar
	}, text)
}

// Text is where words of others go: cleaned for a terminal, byte for byte for a file.
func (s Shell) Text() io.Writer {
	if s.OutTerminal {
		return cleaner{s.Out}
	}
	return s.Out
}

// cleaner cleans what is written to it in whole characters.
type cleaner struct{ to io.Writer }

func (c cleaner) Write(p []byte) (int, error) {
	if _, err := io.WriteString(c.to, Clean(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
