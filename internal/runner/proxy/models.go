package proxy

import (
	"encoding/json"
	"net/http"
	"strings"

	"kaito.sh/kaito/internal/runner/refusal"
)

// Models answers GET /v1/models and GET /v1/models/<name> with the model's own id,
// whatever the engine calls it, and with the adapters on it.
type Models struct {
	// Names are the model's.
	Names Names
	// Context is the number of tokens that prompt and answer share.
	Context int
	// Created is when this pod began to serve it, in seconds of Unix time.
	Created int64
}

type model struct {
	ID      string  `json:"id"`
	Object  string  `json:"object"`
	Created int64   `json:"created"`
	OwnedBy string  `json:"owned_by"`
	Root    string  `json:"root"`
	Parent  *string `json:"parent"`
	Context int     `json:"max_model_len"`
}

// ServeHTTP answers one request.
func (m *Models) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refusal.OpenAI(w, refusal.Method(http.MethodGet))
		return
	}
	name, single := strings.CutPrefix(r.URL.Path, "/v1/models/")
	var body any = struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}{"list", m.all()}
	if single {
		one, ok := m.one(name)
		if !ok {
			refusal.OpenAI(w, refusal.UnknownModel(name, m.Names.served()))
			return
		}
		body = one
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

// all are the model and, as vLLM lists them, the adapters with the model as their parent.
func (m *Models) all() []model {
	base := model{ID: m.Names.ID, Object: "model", Created: m.Created, OwnedBy: "kaito", Root: m.Names.ID, Context: m.Context}
	all := []model{base}
	for _, a := range m.Names.Adapters {
		on := base
		on.ID, on.Root, on.Parent = a.Name, a.Name, &base.ID
		all = append(all, on)
	}
	return all
}

// one is the model or adapter of a name.
func (m *Models) one(name string) (model, bool) {
	if _, ok := m.Names.find(name); !ok {
		return model{}, false
	}
	all := m.all()
	for _, one := range all[1:] {
		if one.ID == name {
			return one, true
		}
	}
	return all[0], true
}
