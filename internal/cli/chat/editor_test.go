package chat

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsPastedIsOneQuestion(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"typed text":                             {"สวัสดี\r", "สวัสดี\r"},
		"cursor keys":                            {"a\x1b[Db\x1b[1;5C\x1bf\r", "a\x1b[Db\x1b[1;5C\x1bf\r"},
		"a text of one line":                     {pasteBegin + "one" + pasteEnd + "\r", "one\r"},
		"a text of lines, by Enter":              {"a" + pasteBegin + "one\rtwo\r" + pasteEnd + "b\r", "aone⏎two⏎b\r"},
		"a text of lines, by both of Windows":    {pasteBegin + "one\r\ntwo\n\nthree" + pasteEnd, "one⏎two⏎⏎three"},
		"control characters are not typed":       {pasteBegin + "a\x03\x04\x1b[D\tb" + pasteEnd, "a[D\tb"},
		"Escape before a mark":                   {"\x1b" + pasteBegin + "x" + pasteEnd, "\x1bx"},
		"a mark that is begun is no mark":        {"\x1b[200\r", "\x1b[200\r"},
		"a text that never ends loses no letter": {pasteBegin + "x\x1b[20", "x[20"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, in := range map[string]io.Reader{"at once": strings.NewReader(tc.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tc.in))} {
				got, err := io.ReadAll(&keyboard{in: in})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.want, string(got)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

func TestTheTerminalIsNotAskedWhereItsCursorIs(t *testing.T) {
	t.Parallel()
	var shown strings.Builder
	k := &keyboard{in: strings.NewReader("typed")}
	if n, err := (screen{&shown, k}).Write([]byte(" \b" + whereAmI)); n != 6 || err != nil {
		t.Fatalf("wrote %d bytes: %v", n, err)
	}
	got, err := io.ReadAll(k)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{" \b", atTheStart + "typed"}, []string{shown.String(), string(got)}); diff != "" {
		t.Errorf("shown and read (-want +got):\n%s", diff)
	}
}

func TestALineGoesOnAfterABackslash(t *testing.T) {
	t.Parallel()
	lines, prompts := []string{`one \`, `two\`, "three"}, []string{}
	read := func(prompt string) (string, error) {
		prompts = append(prompts, prompt)
		if len(lines) == 0 {
			return "", io.EOF
		}
		next := lines[0]
		lines = lines[1:]
		return next, nil
	}
	got, err := joined(read)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one \ntwo\nthree", ">>> ", "... ", "... "}, append([]string{got}, prompts...)); diff != "" {
		t.Errorf("question and prompts (-want +got):\n%s", diff)
	}
	if _, err := joined(read); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the input became %v", err)
	}
}

// However the terminal cuts its bytes into reads, the same is read; and what is
// typed without a mark is read as it was typed.
func FuzzKeyboard(f *testing.F) {
	f.Add("a"+pasteBegin+"one\r\ntwo"+pasteEnd+"\r", uint8(3))
	f.Add("\x1b\x1b[200~\x1b\x1b[201~", uint8(1))
	f.Add("สวัสดี\x1b[A\r", uint8(2))
	f.Fuzz(func(t *testing.T, in string, size uint8) {
		whole, err := io.ReadAll(&keyboard{in: strings.NewReader(in)})
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := io.ReadAll(&keyboard{in: &chopped{in, int(size)%7 + 1}})
		if err != nil {
			t.Fatal(err)
		}
		if string(whole) != string(pieces) {
			t.Errorf("%q was read as %q at once and as %q in pieces", in, whole, pieces)
		}
		if !strings.Contains(in, pasteBegin) && string(whole) != in {
			t.Errorf("%q was read as %q", in, whole)
		}
	})
}

// chopped reads a few bytes at a time.
type chopped struct {
	rest string
	size int
}

func (c *chopped) Read(p []byte) (int, error) {
	if c.rest == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// However a stream is malformed, it is read without a panic, and an answer is only
// whole where the server said so.
func FuzzParts(f *testing.F) {
	f.Add(event(map[string]any{"content": "ก"}, nil) + event(map[string]any{}, "stop") + "data: [DONE]\n\n")
	f.Add("data: {\"error\":{\"message\":\"x\",\"code\":null}}\n\n")
	f.Add(": ping\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"")
	f.Add("event: x\ndata: 1\ndata: [DONE]\n\n")
	f.Fuzz(func(t *testing.T, body string) {
		ended := false
		err := parts(strings.NewReader(body), func(p part) { ended = ended || p.end != "" })
		if err == nil && !ended && !strings.Contains(body, "[DONE]") {
			t.Errorf("%q was taken for a whole answer", body)
		}
	})
}
