package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"kaito.sh/kaito/internal/runner/refusal"
)

// defaultMaxLength is the reference's limit in tokens, prompt included.
const defaultMaxLength = 200

// request is a body of POST /chat, understood.
type request struct {
	prompt   string          // empty for messages
	messages json.RawMessage // what the engine gets
	full     bool            // whether the prompt comes back before the answer
	settings settings
}

// parse understands a body. Fields that are not the API's own are read as generate_kwargs,
// as in the first release of the reference, where all settings stood beside the prompt.
func parse(body []byte, engineName string) (request, *refusal.Refusal) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return request{}, malformed(err)
	}
	kwargs := map[string]json.RawMessage{}
	out := request{full: true}
	for key, raw := range fields {
		switch key {
		case "prompt", "messages", "generate_kwargs":
		case "return_full_text":
			if string(raw) == "null" {
				continue
			}
			full, err := truth(raw)
			if err != nil {
				return request{}, refusal.BadRequest(key, key+" must be "+err.Error())
			}
			out.full = full
		default:
			kwargs[key] = raw
		}
	}
	if raw, given := fields["generate_kwargs"]; given {
		// Unmarshal adds to the map: what stands in generate_kwargs wins.
		if err := json.Unmarshal(raw, &kwargs); err != nil {
			return request{}, refusal.BadRequest("generate_kwargs", "generate_kwargs must be an object")
		}
	}
	if no := out.ask(fields["prompt"], fields["messages"]); no != nil {
		return request{}, no
	}
	var err error
	if out.settings, err = read(kwargs, engineName); err != nil {
		return request{}, refusal.BadRequest("generate_kwargs", err.Error())
	}
	return out, nil
}

// ask takes over the prompt or the messages.
func (q *request) ask(prompt, messages json.RawMessage) *refusal.Refusal {
	hasPrompt, hasMessages := given(prompt), given(messages)
	switch {
	case hasPrompt && hasMessages:
		return refusal.BadRequest("prompt", "Send either prompt or messages, not both")
	case hasMessages:
		q.messages = messages
		return checkMessages(messages)
	case !hasPrompt:
		return refusal.BadRequest("prompt", "Text generation parameter prompt required")
	}
	if json.Unmarshal(prompt, &q.prompt) != nil {
		return refusal.BadRequest("prompt", "prompt must be a string")
	}
	if q.prompt == "" {
		return refusal.BadRequest("prompt", "Text generation parameter prompt required")
	}
	turn, err := json.Marshal([]map[string]string{{"role": "user", "content": q.prompt}})
	if err != nil { // strings only: cannot be
		return refusal.BadRequest("prompt", err.Error())
	}
	q.messages = turn
	return nil
}

// checkMessages says what is wrong with a list of turns.
func checkMessages(raw json.RawMessage) *refusal.Refusal {
	var turns []struct {
		Role    *string         `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(raw, &turns) != nil {
		return refusal.BadRequest("messages", "messages must be a list of objects with role and content")
	}
	if len(turns) == 0 {
		return refusal.BadRequest("messages", "Conversational parameter messages required")
	}
	for i, t := range turns {
		if t.Role == nil || *t.Role == "" || !given(t.Content) {
			return refusal.BadRequest("messages", fmt.Sprintf("messages[%d] must have a role and a content", i))
		}
		if c := bytes.TrimSpace(t.Content); c[0] != '"' && c[0] != '[' {
			return refusal.BadRequest("messages", fmt.Sprintf("messages[%d].content must be a string or a list of parts", i))
		}
	}
	return nil
}

// given says whether a field is there and not null.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// malformed says where a body stops being a JSON object.
func malformed(err error) *refusal.Refusal {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return refusal.BadRequest("", fmt.Sprintf("The request body is not valid JSON: %s (at byte %d)", syntax, syntax.Offset))
	}
	return refusal.BadRequest("", "The request body must be a JSON object with a prompt")
}
