package resolver

import (
	"context"
	"errors"

	"kaito.sh/kaito/internal/hub"
	"kaito.sh/kaito/internal/hub/facts"
	"kaito.sh/kaito/internal/modelfiles"
)

// tokenPlace tells people where a token belongs.
const tokenPlace = "under the key HF_TOKEN into the Secret that presetOptions.modelAccessSecret names" //nolint:gosec // words, no secret

// Hub reads models from a hub, without a token. Where that does not answer its mirrors are asked, in turn.
type Hub struct {
	// Endpoints are the hub, https://huggingface.co or like it, and then its mirrors.
	Endpoints []string
	// Agent is the program and its version, for the hub's logs.
	Agent string
}

// Read reads what a model is, a few small files and the beginnings of large ones.
func (h Hub) Read(ctx context.Context, q Question) (Facts, error) {
	options := facts.Options{
		Repository: q.Repository, Revision: q.Revision, AllowPickles: q.Pickles, TokenPlace: tokenPlace, Agent: h.Agent,
	}
	for _, endpoint := range h.Endpoints {
		options.Endpoints = append(options.Endpoints, facts.Endpoint{URL: endpoint})
	}
	answer, err := facts.Read(ctx, options)
	if err != nil {
		return Facts{}, failed(err)
	}
	return Facts{Model: answer.Model, Commit: answer.Commit}, nil
}

// failed sorts the errors of a reading.
func failed(err error) error {
	var of *hub.Error
	var files *modelfiles.Refusal
	switch {
	case errors.As(err, &of):
		return &Failure{Why: whyOf(of.Kind), Message: of.Message, Wait: of.Wait}
	case errors.As(err, &files) && files.Reason == modelfiles.OnlyPickles:
		return &Failure{Why: Pickles, Message: files.Message}
	case errors.As(err, &files):
		return &Failure{Why: Unusable, Message: files.Message}
	}
	return err
}

func whyOf(k hub.Kind) Why {
	switch k {
	case hub.NotFound:
		return NotFound
	case hub.Gated, hub.Denied:
		return Hidden
	case hub.Limited:
		return Limited
	case hub.Hostile:
		return Unusable
	case hub.Unreachable, hub.Refused:
	}
	return Unreachable
}
