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

// address gives the body the engine's name of the model that it asks for, as parts to be
// sent one behind the other: everything else stays as it is, byte for byte. A missing
// model means the one served here.
func (n Names) address(body []byte) ([][]byte, *refusal.Refusal) {
	place, err := members.Find(body, "model")
	switch {
	case errors.Is(err, members.ErrTwice):
		return nil, refusal.BadRequest("model", "model is given more than once")
	case err != nil:
		return nil, notObject(body)
	}
	var asked *string
	if place.Given() {
		if err := json.Unmarshal(body[place.Start:place.End], &asked); err != nil {
			return nil, refusal.BadRequest("model", "model must be a string")
		}
	}
	switch {
	case asked != nil && !n.knows(*asked):
		return nil, refusal.UnknownModel(*asked, n.served())
	case asked != nil && *asked == n.Engine:
		return [][]byte{body}, nil
	}
	name, err := json.Marshal(n.Engine)
	if err != nil { // a string: cannot be
		return nil, refusal.BadRequest("model", err.Error())
	}
	if place.Given() {
		return [][]byte{body[:place.Start], name, body[place.End:]}, nil
	}
	member := append([]byte(`"model":`), name...)
	if !place.Empty {
		member = append(member, ',')
	}
	return [][]byte{body[:place.Open], member, body[place.Open:]}, nil
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
