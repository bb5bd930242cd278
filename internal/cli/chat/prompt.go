package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/cli/shell"
)

// errEnd is a person who wants no more.
var errEnd = errors.New("the conversation ends")

// lines are what a person types; io.EOF or errEnd ends them.
type lines interface {
	ReadLine() (string, error)
}

// single is one question.
func (t *talk) single(ctx context.Context, question string) error {
	ctx, done := t.sh.Interruptible(ctx)
	defer done()
	return t.answer(ctx, question)
}

// converse goes on until the person ends it. Nothing that a model or a network
// does ends it.
func (t *talk) converse(ctx context.Context, from lines) error {
	t.note("%s answers. Ctrl-C stops an answer, Ctrl-D ends the conversation, /help lists the commands", upper(t.place.name))
	for {
		line, err := from.ReadLine()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errEnd), ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("read from the terminal: %w", err)
		}
		switch question := strings.TrimSpace(line); {
		case question == "":
		case strings.HasPrefix(line, "/"):
			if t.command(strings.Fields(line)) {
				return nil
			}
		default:
			t.turn(ctx, question)
		}
	}
}

// turn is one question and its answer, which the person may stop.
func (t *talk) turn(ctx context.Context, question string) {
	ctx, done := t.sh.Interruptible(ctx)
	defer done()
	err := t.answer(ctx, question)
	var (
		no    *refusal
		waits *NotReadyError
	)
	switch {
	case err == nil:
	case errors.Is(err, shell.ErrInterrupted):
		t.note("(stopped)")
	case errors.As(err, &no) && no.status == 400 && len(t.history) > 1:
		t.note("%v; where the conversation is too long for the model's context, /reset begins anew", err)
	case errors.As(err, &waits):
		t.note("%v; ask again when it does, or end and begin with --wait", err)
	default:
		t.note("%v", err)
	}
}

const help = `/reset      forget the conversation and begin anew
/save FILE  write the conversation to a new file; as JSON where it is called *.json
/exit       end; so do Ctrl-D and Ctrl-C
/help       this list

A line that ends in \ goes on with the next one; a text of several lines can be pasted.`

// command does what a line that begins with / asks for.
func (t *talk) command(words []string) (end bool) {
	switch words[0] {
	case "/exit", "/quit":
		return true
	case "/reset":
		t.reset()
		t.note("The conversation begins anew")
	case "/save":
		t.save(words[1:])
	case "/help":
		t.note("%s", help)
	default:
		t.note("There is no command %s; /help lists them. To ask the model about it, begin the line with a space", words[0])
	}
	return false
}

func (t *talk) save(names []string) {
	if len(names) != 1 {
		t.note("/save takes the name of one file")
		return
	}
	text := transcript(t.history)
	if filepath.Ext(names[0]) == ".json" {
		raw, err := json.MarshalIndent(map[string]any{"messages": append([]message{}, t.history...)}, "", "  ")
		if err != nil {
			t.note("The conversation is not saved: %v", err)
			return
		}
		text = string(raw) + "\n"
	}
	if err := create(names[0], text); err != nil {
		t.note("The conversation is not saved: %v", err)
		return
	}
	t.note("Saved in %s", names[0])
}

// create writes a file that does not exist yet, for its owner alone.
func create(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists", name)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// transcript is the conversation for a reader.
func transcript(history []message) string {
	var b strings.Builder
	for i, m := range history {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "## %s\n\n%s\n", m.Role, strings.TrimRight(m.Content, "\n"))
		if m.stopped {
			b.WriteString("\n[stopped here]\n")
		}
	}
	return b.String()
}

// advise names the flag or the verb that helps against err.
func (o *options) advise(sh shell.Shell, err error) error {
	var waits *NotReadyError
	if !errors.As(err, &waits) {
		return err
	}
	more := fmt.Sprintf("%s explain %s", sh.Name, waits.Name)
	if o.cluster.Namespace != "" {
		more += " -n " + o.cluster.Namespace
	}
	if o.wait > 0 {
		return fmt.Errorf("%w; see: %s", err, more)
	}
	return fmt.Errorf("%w; add --wait to wait for it, or see: %s", err, more)
}

// faint is what a model thinks before it answers: shown, and told apart.
type faint struct{ text, terminal io.Writer }

func (f faint) Write(p []byte) (int, error) {
	_, first := io.WriteString(f.terminal, "\x1b[2m")
	n, err := f.text.Write(p)
	_, last := io.WriteString(f.terminal, "\x1b[0m")
	return n, errors.Join(first, err, last)
}

// joined is a line with those that it goes on in.
func joined(read func(prompt string) (string, error)) (string, error) {
	var parts []string
	for prompt := ask; ; prompt = more {
		line, err := read(prompt)
		if err != nil {
			return "", err
		}
		before, goesOn := strings.CutSuffix(line, `\`)
		parts = append(parts, before)
		if !goesOn {
			return strings.Join(slices.Clip(parts), "\n"), nil
		}
	}
}

// Prompts of a question and of its further lines.
const (
	ask  = ">>> "
	more = "... "
)
