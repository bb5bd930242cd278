// Package oci is the one place that speaks to registries: it resolves names,
// pushes an image layout so that a cut upload goes on where it stopped, and
// pulls an image so that a cut download does the same.
//
// Handshakes, tokens and manifests are go-containerregistry's; blobs are moved
// here, since that library starts every layer again from its first byte.
package oci

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// DefaultChunk is how much of a blob goes in one request. A cut loses at most
// what the registry had not written of one chunk.
const DefaultChunk = 64 << 20

// Scheme says how a registry may be spoken to.
type Scheme int

const (
	// Encrypted allows HTTPS only, and plain HTTP to this machine's loopback.
	Encrypted Scheme = iota
	// Plain allows plain HTTP everywhere.
	Plain
)

// Options are what a Client needs from outside.
type Options struct {
	// Transport carries the requests; nil takes go-containerregistry's.
	Transport http.RoundTripper
	// Keychain finds credentials; nil is anonymous.
	Keychain authn.Keychain
	// Scheme says whether plain HTTP is allowed.
	Scheme Scheme
	// Sleep waits between attempts; nil never tries twice.
	Sleep func(context.Context, time.Duration) error
	// Chunk is the size of one upload request; 0 takes DefaultChunk.
	Chunk int64
	// Stall is how long an upload may stand still before it is begun again; 0 takes DefaultStall.
	Stall time.Duration
	// Notice hears, in words for people, of what went wrong and was got over; nil is silent.
	Notice func(string)
	// Report is called as bytes move; nil is fine.
	Report func(Progress)
}

// Progress is how far a push or pull is, in bytes of all blobs together.
type Progress struct {
	Done, Total int64
	// Skipped are the bytes that were there already.
	Skipped int64
}

// Client speaks to registries.
type Client struct {
	base     http.RoundTripper
	keychain authn.Keychain
	scheme   Scheme
	sleep    func(context.Context, time.Duration) error
	chunk    int64
	stall    time.Duration
	notice   func(string)
	report   func(Progress)
}

// New fills in what the options leave open.
func New(o Options) *Client {
	c := &Client{
		base: o.Transport, keychain: o.Keychain, scheme: o.Scheme,
		sleep: o.Sleep, chunk: o.Chunk, stall: o.Stall, notice: o.Notice, report: o.Report,
	}
	if c.base == nil {
		c.base = remote.DefaultTransport
	}
	if c.keychain == nil {
		c.keychain = authn.NewMultiKeychain()
	}
	if c.chunk <= 0 {
		c.chunk = DefaultChunk
	}
	if c.stall <= 0 {
		c.stall = DefaultStall
	}
	if c.notice == nil {
		c.notice = func(string) {}
	}
	if c.report == nil {
		c.report = func(Progress) {}
	}
	c.base = &schemeGuard{inner: &formGuard{inner: c.base}, scheme: c.scheme}
	return c
}

// Resolve returns what a reference points at.
func (c *Client) Resolve(ctx context.Context, ref string) (v1.Descriptor, error) {
	_, d, err := c.Manifest(ctx, ref)
	return d, err
}

// Manifest returns the raw manifest that a reference points at, checked against
// the digest where the reference has one.
func (c *Client) Manifest(ctx context.Context, ref string) ([]byte, v1.Descriptor, error) {
	r, err := c.parse(ref)
	if err != nil {
		return nil, v1.Descriptor{}, err
	}
	var got *remote.Descriptor
	s, err := c.reach(ctx, r.Context(), transport.PullScope)
	if err != nil {
		return nil, v1.Descriptor{}, fmt.Errorf("read %s: %w", ref, err)
	}
	err = c.retry(ctx, "read "+ref, func() error {
		got, err = remote.Get(r, s.options(ctx)...)
		return err //nolint:wrapcheck // wrapped below, once
	})
	if err != nil {
		return nil, v1.Descriptor{}, fmt.Errorf("read %s: %w", ref, explain(err))
	}
	return got.Manifest, got.Descriptor, nil
}

// parse reads a reference. The library takes hosts that look private as plain
// HTTP; whether that is allowed is schemeGuard's word.
func (c *Client) parse(ref string) (name.Reference, error) {
	var opts []name.Option
	if c.scheme == Plain {
		opts = append(opts, name.Insecure)
	}
	r, err := name.ParseReference(ref, opts...)
	if err != nil {
		return nil, fmt.Errorf("read reference %q: %w", ref, err)
	}
	if !strings.Contains(ref, "/") {
		return nil, fmt.Errorf("read reference %q: it names no registry; write HOST[:PORT]/REPOSITORY:TAG", ref)
	}
	return r, nil
}

// session is an authenticated connection for one repository.
type session struct {
	repo   name.Repository
	wire   http.RoundTripper
	client *http.Client
	base   string
}

// open does the handshake: which scheme, which kind of credentials.
func (c *Client) open(ctx context.Context, repo name.Repository, action string) (*session, error) {
	auth, err := authn.Resolve(ctx, c.keychain, repo)
	if err != nil {
		return nil, fmt.Errorf("find credentials for %s: %w", repo.RegistryStr(), err)
	}
	return c.connect(ctx, repo, action, auth)
}

// connect is open with given credentials.
func (c *Client) connect(ctx context.Context, repo name.Repository, action string, auth authn.Authenticator) (*session, error) {
	wire, err := transport.NewWithContext(ctx, repo.Registry, auth, c.base, []string{repo.Scope(action)})
	if err != nil {
		return nil, err //nolint:wrapcheck // callers say what they tried
	}
	return &session{
		repo: repo,
		wire: wire,
		// Redirects of blobs lead to object stores; the wire sends credentials to the registry alone.
		client: &http.Client{Transport: wire},
		base:   fmt.Sprintf("%s://%s/v2/%s", repo.Scheme(), repo.RegistryStr(), repo.RepositoryStr()),
	}, nil
}

// reach is open with a little patience: a registry that has just started may need
// a moment, one that is not there should not cost a minute.
func (c *Client) reach(ctx context.Context, repo name.Repository, action string) (s *session, err error) {
	const most = 3
	var last error
	tries := 0
	err = c.retry(ctx, "reach registry "+repo.RegistryStr(), func() error {
		s, last = c.open(ctx, repo, action)
		if tries++; last != nil && tries == most {
			return finalError{last}
		}
		return last
	})
	if tries == most {
		err = last // final for this loop, and not for who asks later
	}
	if err != nil {
		return nil, fmt.Errorf("reach registry %s: %w", repo.RegistryStr(), explain(err))
	}
	return s, nil
}

// options make go-containerregistry use our connection and leave retries to us.
func (s *session) options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithTransport(s.wire), remote.WithContext(ctx), remote.WithRetryBackoff(remote.Backoff{Steps: 1})}
}
