package dataset

import (
	"fmt"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/near"
)

// layout says which columns hold what.
type layout struct {
	shape Shape
	// messages, prompt, completion and text are the names of columns; those that the shape does not have are empty.
	messages, prompt, completion, text string
}

// needs are the columns that are read.
func (l layout) needs() []string {
	var all []string
	for _, name := range []string{l.messages, l.prompt, l.completion, l.text} {
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

// Columns that are read where no option names others.
const (
	columnMessages      = "messages"
	columnConversations = "conversations"
	columnPrompt        = "prompt"
	columnCompletion    = "completion"
	columnText          = "text"
)

// lay decides by the names of the columns.
func lay(columns []string, o Options) (*layout, error) {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(columns, n) })
	}
	for _, want := range []struct{ option, column string }{
		{"messages_column", o.MessagesColumn}, {"context_column", o.ContextColumn}, {"response_column", withContext(o)},
	} {
		if want.column != "" && !has(want.column) {
			return nil, missing(want.option, want.column, columns)
		}
	}
	text := o.ResponseColumn
	if text == "" {
		text = columnText
	}
	switch {
	case o.MessagesColumn != "":
		return &layout{shape: Messages, messages: o.MessagesColumn}, nil
	case o.ContextColumn != "":
		return &layout{shape: Completion, prompt: o.ContextColumn, completion: text}, nil
	case has(columnMessages):
		return &layout{shape: Messages, messages: columnMessages}, nil
	case has(columnConversations):
		return &layout{shape: Conversations, messages: columnConversations}, nil
	case has(columnPrompt, columnCompletion):
		return &layout{shape: Completion, prompt: columnPrompt, completion: columnCompletion}, nil
	case has(text):
		return &layout{shape: Text, text: text}, nil
	}
	return nil, unknown(columns)
}

// withContext is the response column where it must be there.
func withContext(o Options) string {
	if o.ContextColumn == "" {
		return ""
	}
	if o.ResponseColumn == "" {
		return columnText
	}
	return o.ResponseColumn
}

// missing is the answer to an option that names a column which is not there.
func missing(option, column string, columns []string) error {
	fix := "set DatasetConfig." + option + " of the training configuration to one of them"
	if n := near.Names(column, columns); len(n) > 0 {
		fix = fmt.Sprintf("did you mean %s in DatasetConfig.%s?", quoted(n[0]), option)
	}
	return &Error{Problem: fmt.Sprintf("there is no column %s; it has %s", quoted(column), list(columns)), Fix: fix}
}

// unknown is the answer to columns that mean nothing to us; known pairs get the lines to write.
func unknown(columns []string) error {
	problem := "none of the columns " + list(columns) + " is known"
	for _, pair := range [][2]string{
		{"instruction", "output"},
		{"instruction", "response"},
		{"question", "answer"},
		{"prompt", "response"},
		{"prompt", "answer"},
		{"input", "output"},
		{"query", "response"},
		{"query", "answer"},
		{"context", "response"},
	} {
		if slices.Contains(columns, pair[0]) && slices.Contains(columns, pair[1]) {
			return &Error{
				Problem: problem,
				Fix: fmt.Sprintf("to train on these, set DatasetConfig.context_column to %s and DatasetConfig.response_column to %s in the training configuration",
					quoted(pair[0]), quoted(pair[1])),
			}
		}
	}
	known := []string{columnCompletion, columnConversations, columnMessages, columnPrompt, columnText}
	for _, c := range columns {
		if n := near.Names(c, known); len(n) > 0 {
			return &Error{Problem: problem, Fix: fmt.Sprintf("did you mean %s by %s? Rename the column, or name it in DatasetConfig of the training configuration", quoted(n[0]), quoted(c))}
		}
	}
	return &Error{
		Problem: problem,
		Fix:     "use messages, conversations, prompt and completion, or text, or name your columns in DatasetConfig of the training configuration (messages_column, or context_column and response_column)",
	}
}

func list(names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	const most = 20
	more := ""
	if len(sorted) > most {
		more = fmt.Sprintf(" and %d more", len(sorted)-most)
		sorted = sorted[:most]
	}
	for i, n := range sorted {
		sorted[i] = quoted(n)
	}
	if len(sorted) == 0 {
		return "no columns"
	}
	return strings.Join(sorted, ", ") + more
}
