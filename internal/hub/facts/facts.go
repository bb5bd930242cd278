// Package facts reads what a model is from a hub, without fetching it: a few small files and
// the first bytes of large ones, at a pinned commit.
package facts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"kaito.sh/kaito/internal/hub"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/modelfacts"
	"kaito.sh/kaito/internal/modelfiles"
)

// Endpoint is a hub or a mirror of one.
type Endpoint struct {
	// URL is https://huggingface.co or like it.
	URL string
	// Token goes to this endpoint and to nobody else; empty is anonymous.
	Token string
}

// DefaultTimeout is how long all of a reading may take.
const DefaultTimeout = time.Minute

// Options say which model to read, and where.
type Options struct {
	// Endpoints are asked in this order, the next one where one does not have the model or
	// does not work.
	Endpoints []Endpoint
	// Repository is owner/name; Revision a commit, a tag or a branch, and empty is main.
	Repository, Revision string
	// File is the GGUF to read where there are several.
	File string
	// AllowPickles takes weights as torch pickles them, where there are no others.
	AllowPickles bool
	// Known is what an earlier reading of the same Options answered, or nil: where the
	// revision means the same commit, it is answered again after one request.
	Known *Answer
	// Timeout is for all requests together; 0 takes DefaultTimeout.
	Timeout time.Duration
	// TokenPlace tells people where a token belongs: "under the key HF_TOKEN into the Secret …".
	TokenPlace string
	// Transport carries the requests; nil takes one with sensible time-outs.
	Transport http.RoundTripper
	// Agent is the program and its version, for the hub's logs.
	Agent string
}

// Answer is a model at a commit.
type Answer struct {
	// Model has an ID made of the repository's name, and the place of its weights: each form's
	// Hub names the repository and the commit.
	Model model.Model
	// Commit is what the revision meant: 40 hexadecimal digits.
	Commit string
	// Endpoint is the URL of the hub that answered.
	Endpoint string
	// ETag is that hub's mark of what the revision means.
	ETag string
	// Absent are the facts that no file says, by the words of a catalog file, sorted; Notes are
	// what a person should know besides.
	Absent, Notes []string
	// ChatTemplate is true where the files have one.
	ChatTemplate bool
}

// Read reads a model's facts at the commit that a revision means now. The error is that of the
// last endpoint that was asked, or of the first that refused: a *hub.Error where the hub did not
// give what it was asked for, a *modelfiles.Refusal where its files cannot be used, and that
// of ctx where it ended.
func Read(ctx context.Context, o Options) (Answer, error) {
	if len(o.Endpoints) == 0 {
		return Answer{}, errors.New("no hub is named")
	}
	if o.Revision == "" {
		o.Revision = "main"
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	asked, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var answer Answer
	var err error
	for _, at := range o.Endpoints {
		if answer, err = o.read(asked, at); err == nil || !elsewhere(err) || asked.Err() != nil {
			break
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return Answer{}, context.Cause(ctx)
	case err != nil && asked.Err() != nil:
		return Answer{}, &hub.Error{Kind: hub.Unreachable, Err: err, Message: fmt.Sprintf("Reading %s took longer than %s", o.Repository, o.Timeout)}
	}
	return answer, err
}

// elsewhere says whether another endpoint may do better.
func elsewhere(err error) bool {
	var e *hub.Error
	return errors.As(err, &e) && (e.Passes() || e.Kind == hub.NotFound || e.Kind == hub.Hostile || e.Kind == hub.Refused)
}

func (o Options) read(ctx context.Context, at Endpoint) (Answer, error) {
	from, err := hub.New(hub.Options{
		Endpoint: at.URL, Repository: o.Repository, Revision: o.Revision, Token: at.Token,
		TokenPlace: o.TokenPlace, Transport: o.Transport, Agent: o.Agent,
	})
	if err != nil {
		return Answer{}, err
	}
	var known hub.Revision
	if o.Known != nil && o.Known.Endpoint == at.URL {
		known = hub.Revision{Commit: o.Known.Commit, ETag: o.Known.ETag}
	}
	now, err := from.Resolve(ctx, known)
	if err != nil {
		return Answer{}, err
	}
	if o.Known != nil && o.Known.Commit == now.Commit {
		answer := *o.Known
		answer.Endpoint, answer.ETag = at.URL, now.ETag
		return answer, nil
	}
	all, err := from.List(ctx, now.Commit)
	if err != nil {
		return Answer{}, err
	}
	found, err := modelfacts.Read(ctx, modelfacts.Options{
		Origin: fmt.Sprintf("%s at %s of %s", o.Repository, now.Commit, from.Host()),
		All:    all, Files: contents{from, now.Commit}, File: o.File, AllowPickles: o.AllowPickles,
	})
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		Model: o.placed(found, now), Commit: now.Commit, Endpoint: at.URL, ETag: now.ETag,
		Absent: found.Absent, Notes: found.Notes, ChatTemplate: found.ChatTemplate,
	}, nil
}

// placed is the model with its names, and with where its weights are.
func (o Options) placed(found modelfacts.Facts, at hub.Revision) model.Model {
	m := found.Model
	m.ID, m.HubID, m.Gated = model.IDOf(o.Repository), o.Repository, at.Gated
	for form, w := range m.Forms {
		w.Hub = &model.Hub{Repository: o.Repository, Revision: at.Commit, Files: patterns(form, found.Files)}
		m.Forms[form] = w
	}
	return m
}

// patterns name the files where they are not those that a runner fetches by itself: one GGUF,
// or pickles.
func patterns(form model.Form, files []modelfiles.File) []string {
	if form == model.FormGGUF {
		return []string{files[0].Path}
	}
	if !slices.ContainsFunc(files, func(f modelfiles.File) bool { return modelfiles.IsPickle(f.Path) }) {
		return nil
	}
	var names []string
	for _, f := range files {
		names = append(names, literal(f.Path))
	}
	return names
}

// literal is a pattern that means one name.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// contents are the files of a commit.
type contents struct {
	from   *hub.Repository
	commit string
}

// Range asks the hub.
func (c contents) Range(ctx context.Context, name string, from, n int64) ([]byte, error) {
	return c.from.Range(ctx, c.commit, name, from, n)
}
