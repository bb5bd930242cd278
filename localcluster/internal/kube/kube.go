// Package kube speaks to the cluster's API server over plain HTTPS. The launcher
// needs six calls, so it does without the client libraries and links in seconds.
package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// owner is the field owner of what the launcher applies.
const owner = "kaito-localcluster"

// Client calls one API server.
type Client struct {
	server string
	http   *http.Client
}

// Credentials are the files that a client needs.
type Credentials struct{ CA, Cert, Key string }

// New makes a client of the server.
func New(server string, c Credentials) (*Client, error) {
	ca, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("load the cluster's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("load the cluster's authority: %q holds no certificate", c.CA)
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("load client certificate: %w", err)
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	return &Client{server: server, http: &http.Client{Timeout: 10 * time.Second, Transport: t}}, nil
}

// StatusError is an answer other than 2xx.
type StatusError struct {
	// Code is the HTTP status.
	Code int
	// Message is the server's.
	Message string
}

// Error is the server's message with the status.
func (e *StatusError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

// Missing is true for an answer 404.
func Missing(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Code == http.StatusNotFound
}

// Get reads an object into out; out may be nil.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.do(ctx, call{http.MethodGet, path, "", nil}, out)
}

// Apply creates or merges an object by server-side apply.
func (c *Client) Apply(ctx context.Context, path string, object []byte) error {
	return c.do(ctx, call{http.MethodPatch, path + "?force=true&fieldManager=" + owner, "application/apply-patch+yaml", object}, nil)
}

// Merge patches an object by JSON merge.
func (c *Client) Merge(ctx context.Context, path string, object any) error {
	b, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode patch of %s: %w", path, err)
	}
	return c.do(ctx, call{http.MethodPatch, path + "?fieldManager=" + owner, "application/merge-patch+json", b}, nil)
}

// Delete removes an object; it may be gone already.
func (c *Client) Delete(ctx context.Context, path string) error {
	if err := c.do(ctx, call{http.MethodDelete, path, "", nil}, nil); err != nil && !Missing(err) {
		return err
	}
	return nil
}

type call struct {
	method, path, kind string
	body               []byte
}

func (c *Client) do(ctx context.Context, k call, out any) error {
	req, err := http.NewRequestWithContext(ctx, k.method, c.server+k.path, bytes.NewReader(k.body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	if k.kind != "" {
		req.Header.Set("Content-Type", k.kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %w", k.method, k.path, &StatusError{resp.StatusCode, message(b)})
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: %w", k.method, k.path, err)
	}
	return nil
}

// message is the Status object's, or the body's beginning.
func message(body []byte) string {
	var s struct{ Message string }
	if json.Unmarshal(body, &s) == nil && s.Message != "" {
		return s.Message
	}
	return string(body[:min(len(body), 300)])
}
