package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"kaito.sh/kaito/internal/runner/members"
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

// order is a request's body, ready for the engine.
type order struct {
	// parts are to be sent one behind the other.
	parts [][]byte
	// streams says that the answer may be a stream.
	streams bool
}

// address gives the body the engine's name of the model that it asks for: everything else
// stays as it is, byte for byte. A missing model means the one served here.
func (n Names) address(body []byte) (order, *refusal.Refusal) {
	found, err := members.Find(body, "model", "stream")
	var twice *members.TwiceError
	switch {
	case errors.As(err, &twice):
		return order{}, refusal.BadRequest(twice.Name, twice.Name+" is given more than once")
	case err != nil:
		return order{}, notObject(body)
	}
	model, stream := found.Values[0], string(found.Values[1].Of(body))
	out := order{parts: [][]byte{body}, streams: stream != "" && stream != "false" && stream != "null"}
	own, no := n.isOwn(model.Of(body))
	if no != nil || own {
		return out, no
	}
	out.parts, err = n.named(body, found)
	if err != nil { // a string: cannot be
		return order{}, refusal.BadRequest("model", err.Error())
	}
	return out, nil
}

// named is the body with the engine's name in the place of the client's, or as the first member.
func (n Names) named(body []byte, found members.Object) ([][]byte, error) {
	name, err := json.Marshal(n.Engine)
	if err != nil {
		return nil, err
	}
	if model := found.Values[0]; model.Given() {
		return [][]byte{body[:model.Start], name, body[model.End:]}, nil
	}
	member := append([]byte(`"model":`), name...)
	if !found.Empty {
		member = append(member, ',')
	}
	return [][]byte{body[:found.Open], member, body[found.Open:]}, nil
}

// isOwn says whether the value of model, which may be missing, is the engine's own name, or
// refuses it.
func (n Names) isOwn(value []byte) (bool, *refusal.Refusal) {
	if len(value) == 0 || string(value) == "null" {
		return false, nil
	}
	var asked string
	if err := json.Unmarshal(value, &asked); err != nil {
		return false, refusal.BadRequest("model", "model must be a string")
	}
	if !n.knows(asked) {
		return false, refusal.UnknownModel(asked, n.served())
	}
	return asked == n.Engine, nil
}

// notObject says why a body is no JSON object.
func notObject(body []byte) *refusal.Refusal {
	var syntax *json.SyntaxError
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); errors.As(err, &syntax) {
		return refusal.BadRequest("", fmt.Sprintf("The request body is not valid JSON: %s (at byte %d)", syntax, syntax.Offset))
	}
	return refusal.BadRequest("", "The request body must be a JSON object")
}
