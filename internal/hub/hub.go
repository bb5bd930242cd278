// Package hub speaks the protocol of Hugging Face's hub: the commit behind a revision, the
// list of its files with their digests, and the files, whole or in part. It fetches
// nothing by itself and tries nothing again: the runner does, and whoever looks at models
// before they are fetched.
package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options say which model, and how to reach it.
type Options struct {
	// Endpoint is https://huggingface.co or a mirror.
	Endpoint string
	// Repository is owner/name, Revision a commit, a tag or a branch.
	Repository, Revision string
	// Token goes to the endpoint and to nobody else; empty is anonymous.
	Token string
	// TokenPlace tells people where a token belongs: "under the key HF_TOKEN into the Secret …".
	TokenPlace string
	// Transport carries the requests; nil takes one with sensible time-outs.
	Transport http.RoundTripper
	// Agent is the program and its version, for the hub's logs.
	Agent string
}

// Repository is one model on a hub, at a revision.
type Repository struct {
	Options
	base   *url.URL
	client *http.Client
}

// redirects is how often a hub may send us elsewhere before we stop believing it.
const redirects = 8

// New checks the endpoint.
func New(o Options) (*Repository, error) {
	base, err := url.Parse(strings.TrimSuffix(o.Endpoint, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fmt.Errorf("%q is not the address of a hub", o.Endpoint)
	}
	inner := o.Transport
	if inner == nil {
		inner = transport()
	}
	r := &Repository{Options: o, base: base}
	r.client = &http.Client{
		Transport: &escort{inner: inner, home: base, token: o.Token, agent: o.Agent},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > redirects {
				return fmt.Errorf("%s sends us from one address to the next", base.Host)
			}
			if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
				return fmt.Errorf("%s sends us to %s without encryption", base.Host, req.URL.Host)
			}
			return nil
		},
	}
	return r, nil
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

// Host is the hub's, for messages.
func (r *Repository) Host() string { return r.base.Host }

// Page is the address at which people look at the repository.
func (r *Repository) Page() string { return r.at(r.elements()...) }

// at is an address below the endpoint. Elements are escaped, slashes in them too.
func (r *Repository) at(elements ...string) string {
	out := r.base.String()
	for _, e := range elements {
		out += "/" + url.PathEscape(e)
	}
	return out
}

// elements is the repository's path in an address.
func (r *Repository) elements() []string { return strings.Split(r.Repository, "/") }

// get sends a request and answers for its status. Headers come in pairs.
func (r *Repository) get(ctx context.Context, address string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, hostile("%q is not an address: %v", address, err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, r.line(withoutQuery(err))
	}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusPartialContent, http.StatusNotModified:
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	return nil, r.explain(resp)
}
