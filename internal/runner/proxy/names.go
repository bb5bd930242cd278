package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/runner/engine"
	"kaito.sh/kaito/internal/runner/members"
	"kaito.sh/kaito/internal/runner/refusal"
)

// Names are those under which the model answers, and the engine's own for it.
type Names struct {
	// ID is the served model id.
	ID string
	// Aliases are further names that a request may use.
	Aliases []string
	// Engine is what the engine is asked for by the model's names.
	Engine engine.Target
	// Adapters answer beside the model.
	Adapters []Adapter
}

// Adapter is an adapter that answers beside the model.
type Adapter struct {
	// Name is its model id.
	Name string
	// Target is what the engine is asked for.
	Target engine.Target
	// Default is true of the one that answers where a request names no model.
	Default bool
}

// Target is what the engine is asked for where a request names no model.
func (n Names) Target() engine.Target {
	for _, a := range n.Adapters {
		if a.Default {
			return a.Target
		}
	}
	return n.Engine
}

// find is what the engine is asked for by a name, if that is served.
func (n Names) find(name string) (engine.Target, bool) {
	for _, a := range n.Adapters {
		if a.Name == name {
			return a.Target, true
		}
	}
	return n.Engine, name == n.ID || slices.Contains(n.Aliases, name)
}

// served lists every name, the id first.
func (n Names) served() []string {
	all := append([]string{n.ID}, n.Aliases...)
	for _, a := range n.Adapters {
		all = append(all, a.Name)
	}
	return all
}

// order is a request's body, ready for the engine.
type order struct {
	// parts are to be sent one behind the other.
	parts [][]byte
	// streams says that the answer may be a stream.
	streams bool
}

// address gives the body of a request to path the engine's name of the model that it asks
// for: everything else stays as it is, byte for byte. A missing model means the one served here.
func (n Names) address(path string, body []byte) (order, *refusal.Refusal) {
	found, err := members.Find(body, "model", "stream", "lora")
	var twice *members.TwiceError
	switch {
	case errors.As(err, &twice):
		return order{}, refusal.BadRequest(twice.Name, twice.Name+" is given more than once")
	case err != nil:
		return order{}, notObject(body)
	}
	model, stream := found.Values[0], string(found.Values[1].Of(body))
	out := order{parts: [][]byte{body}, streams: stream != "" && stream != "false" && stream != "null"}
	if len(n.Adapters) > 0 && found.Values[2].Given() {
		return order{}, refusal.BadRequest("lora", "lora is set here: name an adapter as model; served: "+strings.Join(n.served(), ", "))
	}
	target, own, no := n.asked(model.Of(body))
	if no == nil {
		target, no = n.applied(path, target)
	}
	if no != nil || own {
		return out, no
	}
	out.parts, err = directed(body, found, target)
	if err != nil { // a string: cannot be
		return order{}, refusal.BadRequest("model", err.Error())
	}
	return out, nil
}

// applied is what can be asked for at path: llama-server reads the field lora at a few only
// (measured on 0.7.0). At /v1/messages it would answer for the model on what a request with
// an adapter has left in the KV cache.
func (n Names) applied(path string, target engine.Target) (engine.Target, *refusal.Refusal) {
	switch {
	case target.LoRA == nil, slices.Contains([]string{"/v1/chat/completions", "/v1/completions", "/v1/responses"}, path):
		return target, nil
	case path == "/v1/messages":
		return target, refusal.BadRequest("", "/v1/messages is not served beside adapters: use /v1/chat/completions")
	case path != "/v1/messages/count_tokens" && target.Model != n.Engine.Model:
		return target, refusal.BadRequest("model", fmt.Sprintf("Adapters do not answer at %s: name the model %s", path, n.ID))
	}
	target.LoRA = nil
	return target, nil
}

// directed is the body with the engine's name in the place of the client's, or as a first
// member, and before all with what chooses an adapter.
func directed(body []byte, found members.Object, target engine.Target) ([][]byte, error) {
	name, err := json.Marshal(target.Model)
	if err != nil {
		return nil, err
	}
	model, first := found.Values[0], []byte(nil)
	if target.LoRA != nil {
		first = append(append(first, `"lora":`...), target.LoRA...)
	}
	if !model.Given() {
		if first != nil {
			first = append(first, ',')
		}
		first = append(append(first, `"model":`...), name...)
	}
	if first != nil && !found.Empty {
		first = append(first, ',')
	}
	if !model.Given() {
		return [][]byte{body[:found.Open], first, body[found.Open:]}, nil
	}
	if first == nil {
		return [][]byte{body[:model.Start], name, body[model.End:]}, nil
	}
	return [][]byte{body[:found.Open], first, body[found.Open:model.Start], name, body[model.End:]}, nil
}

// asked is what the engine is asked for by the value of model, which may be missing, and
// whether the body says so already; or it refuses the value.
func (n Names) asked(value []byte) (target engine.Target, own bool, no *refusal.Refusal) {
	if len(value) == 0 || string(value) == "null" {
		return n.Target(), false, nil
	}
	var name string
	if err := json.Unmarshal(value, &name); err != nil {
		return engine.Target{}, false, refusal.BadRequest("model", "model must be a string")
	}
	target, found := n.find(name)
	if !found {
		return engine.Target{}, false, refusal.UnknownModel(name, n.served())
	}
	return target, name == target.Model && target.LoRA == nil, nil
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
