package dataset

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"kaito.sh/kaito/internal/near"
)

const (
	roleSystem    = "system"
	roleUser      = "user"
	roleAssistant = "assistant"
)

// row makes a row of a record, and says whether it is empty.
func (l layout) row(v value) (Row, bool, error) {
	switch l.shape {
	case Messages, Conversations:
		messages, err := conversation(v.get(l.messages), l.messages)
		if err != nil || len(messages) == 0 {
			return Row{}, true, err
		}
		empty := false
		for _, m := range messages {
			empty = empty || m.Role != roleSystem && blank(m.Content)
		}
		return Row{Shape: l.shape, Messages: messages}, empty, nil
	case Completion:
		return l.completed(v)
	}
	text, err := cell(v.get(l.text), l.text)
	return Row{Shape: l.shape, Text: text}, blank(text), err
}

// completed makes a conversation of a prompt and its completion, which are texts or lists of turns.
func (l layout) completed(v value) (Row, bool, error) {
	prompt, answer := v.get(l.prompt), v.get(l.completion)
	if prompt.kind == kindList || answer.kind == kindList {
		if prompt.kind != kindList || answer.kind != kindList {
			return Row{}, false, &Error{Column: l.completion, Problem: fmt.Sprintf("it is %s and column %s is %s", answer.kind, quoted(l.prompt), prompt.kind), Fix: "make both texts, or both lists of turns"}
		}
		whole := value{kind: kindList, list: append(append([]value{}, prompt.list...), answer.list...)}
		messages, err := conversation(whole, l.completion)
		return Row{Shape: Messages, Messages: messages}, len(messages) == 0, err
	}
	question, err := cell(prompt, l.prompt)
	if err != nil {
		return Row{}, false, err
	}
	text, err := cell(answer, l.completion)
	if err != nil {
		return Row{}, false, err
	}
	row := Row{Shape: l.shape, Messages: []Message{{roleUser, question}, {roleAssistant, text}}}
	return row, blank(question) || blank(text), nil
}

// cell is the text of a column; null is none.
func cell(v value, column string) (string, error) {
	switch v.kind {
	case kindNull:
		return "", nil
	case kindString:
		return v.text, clean(v.text, column)
	}
	return "", &Error{Column: column, Problem: fmt.Sprintf("it is %s, not text", v.kind), Fix: "write text into this column"}
}

// clean refuses what no tokenizer is meant to see.
func clean(text, column string) error {
	if !utf8.ValidString(text) {
		return &Error{Column: column, Problem: "it is not UTF-8", Fix: "convert the file to UTF-8"}
	}
	if strings.IndexByte(text, 0) >= 0 {
		return &Error{Column: column, Problem: "it holds a NUL character", Fix: "remove it: files of another kind are often mistaken for text"}
	}
	return nil
}

// conversation reads turns and their order. A null or empty list is no conversation.
func conversation(v value, column string) ([]Message, error) {
	if v.kind == kindString { // as CSV files and some tables have it
		if blank(v.text) {
			return nil, nil
		}
		parsed, err := parse([]byte(v.text))
		if err != nil || parsed.kind != kindList {
			return nil, &Error{Column: column, Problem: "it is text, and not a list of turns in JSON", Fix: `write [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]`}
		}
		v = parsed
	}
	if v.kind == kindNull {
		return nil, nil
	}
	if v.kind != kindList {
		return nil, &Error{Column: column, Problem: fmt.Sprintf("it is %s, not a list of turns", v.kind), Fix: `write [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]`}
	}
	messages := make([]Message, 0, len(v.list))
	for i, turn := range v.list {
		m, err := message(turn)
		if err != nil {
			return nil, inTurn(err, column, i)
		}
		messages = append(messages, m)
	}
	return messages, order(messages, column)
}

// message reads one turn, as {role, content} or as {from, value}.
func message(v value) (Message, error) {
	if v.kind != kindObject {
		return Message{}, &Error{Problem: fmt.Sprintf("the turn is %s, not an object", v.kind), Fix: `write {"role": "user", "content": "…"}`}
	}
	role, content := v.get("role"), v.get("content")
	if role.kind == kindNull && v.get("from").kind != kindNull {
		role, content = v.get("from"), v.get("value")
	}
	if role.kind != kindString {
		return Message{}, &Error{Problem: "the turn has no role; it has " + list(names(v)), Fix: "give each turn role and content, or from and value"}
	}
	known, err := meant(role.text)
	if err != nil {
		return Message{}, err
	}
	text, err := words(content)
	return Message{Role: known, Content: text}, err
}

// words is the text of a turn, which may come in parts.
func words(v value) (string, error) {
	if v.kind != kindList {
		return cell(v, "")
	}
	var b strings.Builder
	for _, part := range v.list {
		if part.get("type").text != "text" {
			return "", &Error{Problem: "the turn has a part of type " + quoted(part.get("type").text), Fix: "train on text only: leave pictures and sound out"}
		}
		text, err := cell(part.get("text"), "")
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// meant is the role that a word stands for.
func meant(role string) (string, error) {
	switch strings.ToLower(role) {
	case roleSystem, "developer":
		return roleSystem, nil
	case roleUser, "human":
		return roleUser, nil
	case roleAssistant, "gpt", "chatgpt", "bot", "model", "ai":
		return roleAssistant, nil
	case "tool", "function", "ipython", "observation", "function_call", "tool_call":
		return "", &Error{Problem: "the role " + quoted(role) + " belongs to calls of tools, which cannot be trained on yet", Fix: "leave such conversations out"}
	}
	fix := "use system, user and assistant"
	if n := near.Names(role, []string{roleSystem, roleUser, roleAssistant}); len(n) > 0 {
		fix = "did you mean " + quoted(n[0]) + "?"
	}
	return "", &Error{Problem: "the role " + quoted(role) + " is not known", Fix: fix}
}

// inTurn names the turn of an error. Only a turn that is wrong gets a name: there are many that are not.
func inTurn(err error, column string, i int) error {
	var mine *Error
	if errors.As(err, &mine) {
		mine.Column = fmt.Sprintf("%s[%d]", column, i)
	}
	return err
}

// order checks that user and assistant take turns.
func order(messages []Message, column string) error {
	want, other := roleUser, roleAssistant
	for i, m := range messages {
		switch {
		case m.Role == roleSystem && i == 0:
		case m.Role == roleSystem:
			return inTurn(&Error{Problem: "a system turn stands behind others", Fix: "put it first"}, column, i)
		case m.Role != want:
			return inTurn(&Error{
				Problem: fmt.Sprintf("the turn is of the %s, where one of the %s belongs", m.Role, want), Fix: "let user and assistant take turns, the user first",
			}, column, i)
		default:
			want, other = other, want
		}
	}
	if len(messages) > 0 && messages[len(messages)-1].Role != roleAssistant {
		return &Error{Column: column, Problem: "the conversation does not end with a turn of the assistant", Fix: "end each conversation with the answer that is to be learned"}
	}
	return nil
}

// blank is true of text without a letter.
func blank(s string) bool { return strings.TrimSpace(s) == "" }
