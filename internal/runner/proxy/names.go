package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"kaito.sh/kaito/internal/runner/refusal"
)

// Names are those under which the model answers, and the engine's own for it.
type Names struct {
	// ID is the served model id.
	ID string
	// Aliases are further names that a request may use.
	Aliases []string
	// Engine is what the engine calls the model.
	Engine string
}

// knows says whether a request for this name is for the model.
func (n Names) knows(name string) bool {
	return name == n.ID || slices.Contains(n.Aliases, name)
}

// served lists every name, the id first.
func (n Names) served() []string {
	return append([]string{n.ID}, n.Aliases...)
}

// address gives the body the engine's name of the model that it asks for. A body that
// has it already stays as it is, byte for byte; a missing model means the one served here.
func (n Names) address(body []byte) ([]byte, *refusal.Refusal) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return nil, notObject(err)
	}
	asked := n.ID
	if raw, given := fields["model"]; given && string(raw) != "null" {
		if err := json.Unmarshal(raw, &asked); err != nil {
			return nil, refusal.BadRequest("model", "model must be a string")
		}
		if !n.knows(asked) {
			return nil, refusal.UnknownModel(asked, n.served())
		}
		if asked == n.Engine {
			return body, nil
		}
	}
	name, err := json.Marshal(n.Engine)
	if err != nil { // a string: cannot be
		return nil, refusal.BadRequest("model", err.Error())
	}
	fields["model"] = name
	return encode(fields)
}

// encode writes the fields without touching their values.
func encode(fields map[string]json.RawMessage) ([]byte, *refusal.Refusal) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(fields); err != nil {
		return nil, refusal.BadRequest("", err.Error())
	}
	return out.Bytes(), nil
}

func notObject(err error) *refusal.Refusal {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return refusal.BadRequest("", fmt.Sprintf("The request body is not valid JSON: %s (at byte %d)", syntax, syntax.Offset))
	}
	return refusal.BadRequest("", "The request body must be a JSON object")
}
