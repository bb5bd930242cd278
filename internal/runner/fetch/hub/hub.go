// Package hub fetches models from a hub: which files of which commit, proved by the
// digests that the hub lists. How a hub is spoken to stands in the room internal/hub.
package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"kaito.sh/kaito/internal/hub"
	"kaito.sh/kaito/internal/modelfiles"
	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/fetch"
)

// Options say which model, and how to reach it.
type Options struct {
	// Endpoint is https://huggingface.co or a mirror.
	Endpoint string
	// Repository is owner/name, Revision a commit, a tag or a branch.
	Repository, Revision string
	// Patterns choose files; none chooses what an engine loads.
	Patterns []string
	// Lenient lets a pattern find nothing.
	Lenient bool
	// Token goes to the endpoint and to nobody else; empty is anonymous.
	Token string
	// Transport carries the requests; nil takes one with sensible time-outs.
	Transport http.RoundTripper
	// Version is the runner's own, for the hub's logs.
	Version string
}

// tokenPlace is where a user names the Secret with the token.
const tokenPlace = "under the key HF_TOKEN into the Secret that presetOptions.modelAccessSecret names" //nolint:gosec // words for people, no token

// Source is one model on a hub.
type Source struct {
	Options
	hub *hub.Repository
}

// New checks the endpoint.
func New(o Options) (*Source, error) {
	at, err := hub.New(hub.Options{
		Endpoint: o.Endpoint, Repository: o.Repository, Revision: o.Revision, Token: o.Token, TokenPlace: tokenPlace,
		Transport: o.Transport, Agent: "kaito-runner/" + o.Version,
	})
	if err != nil {
		return nil, err
	}
	return &Source{Options: o, hub: at}, nil
}

// Plan finds the commit, its files, and chooses among them.
func (s *Source) Plan(ctx context.Context) (fetch.Plan, error) {
	at, err := s.hub.Resolve(ctx, hub.Revision{})
	if err != nil {
		return fetch.Plan{}, told(err)
	}
	all, err := s.hub.List(ctx, at.Commit)
	if err != nil {
		return fetch.Plan{}, told(err)
	}
	plan := fetch.Plan{Origin: fmt.Sprintf("%s at %s of %s", s.Repository, at.Commit, s.hub.Host())}
	files, err := s.choose(plan.Origin, all)
	if err != nil {
		return fetch.Plan{}, told(err)
	}
	for _, f := range files {
		digest, err := digestOf(f)
		if err != nil {
			return fetch.Plan{}, fetch.Unusable("%s holds the file %q: %v", plan.Origin, f.Path, err)
		}
		plan.Parts = append(plan.Parts, fetch.Part{
			Name: f.Path, Size: f.Size, Digest: digest,
			Open: func(ctx context.Context, from int64) (io.ReadCloser, error) {
				body, err := s.hub.Open(ctx, at.Commit, f.Path, from)
				return body, told(err)
			},
		})
	}
	return plan, nil
}

func (s *Source) choose(origin string, all []modelfiles.File) ([]modelfiles.File, error) {
	if len(s.Patterns) > 0 {
		return modelfiles.Named(origin, all, s.Patterns, s.Lenient)
	}
	return modelfiles.Usual(origin, all)
}

// digestOf is what the bytes of a file must add up to.
func digestOf(f modelfiles.File) (fetch.Digest, error) {
	if f.SHA256 != "" {
		return fetch.ParseDigest(fetch.SHA256, f.SHA256)
	}
	return fetch.ParseDigest(fetch.GitBlob, f.GitBlob)
}

// told is an error in the runner's words: those of the hub, under the runner's reasons. A
// problem on the way to the hub stays as it is; a fetch tries again and says so.
func told(err error) error {
	var of *hub.Error
	var files *modelfiles.Refusal
	switch {
	case errors.As(err, &of):
		if of.Kind == hub.Unreachable && of.Err != nil {
			return of.Err
		}
		return &fetch.Error{Reason: reasonOf(of.Kind), Message: of.Message, Wait: of.Wait, Err: of.Err}
	case errors.As(err, &files):
		reason := ending.WeightsUnusable
		if files.Reason == modelfiles.NoMatch {
			reason = ending.WeightsNotFound
		}
		return &fetch.Error{Reason: reason, Message: files.Message}
	}
	return err
}

func reasonOf(kind hub.Kind) ending.Reason {
	switch kind {
	case hub.NotFound:
		return ending.WeightsNotFound
	case hub.Limited, hub.Unreachable:
		return ending.WeightsUnreachable
	case hub.Hostile:
		return ending.WeightsUnusable
	default:
		return ending.WeightsRefused
	}
}
