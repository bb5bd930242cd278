// Package hub reads models from a hub that speaks the protocol of Hugging Face: the
// commit behind a revision, the list of its files with their digests, the files.
package hub

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

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

// Source is one model on a hub.
type Source struct {
	Options
	base   *url.URL
	client *http.Client
}

// redirects is how often a hub may send us elsewhere before we stop believing it.
const redirects = 8

// New checks the endpoint.
func New(o Options) (*Source, error) {
	base, err := url.Parse(strings.TrimSuffix(o.Endpoint, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("%q is not the address of a hub", o.Endpoint)
	}
	s := &Source{Options: o, base: base}
	inner := o.Transport
	if inner == nil {
		inner = transport()
	}
	s.client = &http.Client{
		Transport: &escort{inner: inner, home: base, token: o.Token, agent: "kaito-runner/" + o.Version},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > redirects {
				return fmt.Errorf("%s sends us from one address to the next", base.Host)
			}
			if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
				return fmt.Errorf("%s sends us to %s without encryption", base.Host, r.URL.Host)
			}
			return nil
		},
	}
	return s, nil
}

// transport gives up on what does not answer. A body may take as long as it moves.
func transport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 30 * time.Second
	t.DisableCompression = true // digests are of the bytes as they are stored
	return t
}

// escort gives the token to the hub itself, and to none of the hosts, object stores
// above all, to which the hub sends us. Go's client would pass it on to subdomains and
// to other ports of the same name.
type escort struct {
	inner        http.RoundTripper
	home         *url.URL
	token, agent string
}

// RoundTrip sets or removes the headers that are ours.
func (e *escort) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del("Authorization")
	r.Header.Del("Referer")
	r.Header.Set("User-Agent", e.agent)
	if e.token != "" && r.URL.Scheme == e.home.Scheme && strings.EqualFold(r.URL.Host, e.home.Host) {
		r.Header.Set("Authorization", "Bearer "+e.token)
	}
	return e.inner.RoundTrip(r) //nolint:wrapcheck // a transport passes errors as they are
}

// at is an address below the endpoint. Elements are escaped, slashes in them too.
func (s *Source) at(elements ...string) string {
	out := s.base.String()
	for _, e := range elements {
		out += "/" + url.PathEscape(e)
	}
	return out
}

// Plan finds the commit, its files, and chooses among them.
func (s *Source) Plan(ctx context.Context) (fetch.Plan, error) {
	commit, err := s.commit(ctx)
	if err != nil {
		return fetch.Plan{}, err
	}
	all, err := s.list(ctx, commit)
	if err != nil {
		return fetch.Plan{}, err
	}
	origin := fmt.Sprintf("%s at %s of %s", s.Repository, commit, s.base.Host)
	files, err := s.choose(origin, all)
	if err != nil {
		return fetch.Plan{}, err
	}
	plan := fetch.Plan{Origin: origin}
	for _, f := range files {
		plan.Parts = append(plan.Parts, fetch.Part{
			Name: f.path, Size: f.size, Digest: f.digest,
			Open: func(ctx context.Context, from int64) (io.ReadCloser, error) { return s.open(ctx, commit, f, from) },
		})
	}
	return plan, nil
}

// repository is the repository's path in an address.
func (s *Source) repository() []string { return strings.Split(s.Repository, "/") }

// open asks for a file from a byte on.
func (s *Source) open(ctx context.Context, commit string, f file, from int64) (io.ReadCloser, error) {
	elements := append(s.repository(), "resolve", commit)
	resp, err := s.get(ctx, s.at(append(elements, strings.Split(f.path, "/")...)...), from)
	if err != nil {
		return nil, err
	}
	if from == 0 || resp.StatusCode == http.StatusPartialContent {
		if begin := fmt.Sprintf("bytes %d-", from); from > 0 && !strings.HasPrefix(resp.Header.Get("Content-Range"), begin) {
			_ = resp.Body.Close()
			return nil, fmt.Errorf("%s answered the range from %d with %q", resp.Request.URL.Host, from, resp.Header.Get("Content-Range"))
		}
		return resp.Body, nil
	}
	// A server may answer a range with everything.
	if _, err := io.CopyN(io.Discard, resp.Body, from); err != nil {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("pass over %d bytes: %w", from, err)
	}
	return resp.Body, nil
}

// get sends a request and answers for its status.
func (s *Source) get(ctx context.Context, address string, from int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fetch.Unusable("%q is not an address: %v", address, err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, withoutQuery(err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	return nil, s.explain(resp)
}
