package oci

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// PlainHTTPError says that a registry answers, but not with TLS.
type PlainHTTPError struct{ Host string }

// Error says what would be at risk.
func (e *PlainHTTPError) Error() string {
	return fmt.Sprintf("registry %s answers plain HTTP only, which would show credentials and models to the network", e.Host)
}

// schemeGuard refuses plain HTTP unless it was allowed or stays on this machine.
type schemeGuard struct {
	inner  http.RoundTripper
	scheme Scheme
}

// RoundTrip passes on what is allowed.
func (g *schemeGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && g.scheme != Plain && !loopback(r.URL.Hostname()) {
		return nil, &PlainHTTPError{Host: r.URL.Host}
	}
	return g.inner.RoundTrip(r) //nolint:wrapcheck // a transport passes errors as they are
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// AccessError says that a registry knows us too little, or does not let us.
type AccessError struct {
	// Host is the registry, Path what was asked of it.
	Host, Path string
	// Status is 401 where credentials are missing or wrong, 403 where they do not suffice.
	Status int
}

// Error says what was asked and what was answered.
func (e *AccessError) Error() string {
	return fmt.Sprintf("registry %s answered %d %s to %s", e.Host, e.Status, http.StatusText(e.Status), e.Path)
}

// MissingError says that a registry does not have what was asked for.
type MissingError struct{ err error }

// Error is the registry's answer.
func (e *MissingError) Error() string { return e.err.Error() }

// Unwrap is the answer.
func (e *MissingError) Unwrap() error { return e.err }

// explain turns the answers that users meet most into errors that can be told
// apart, and says the rest in fewer words.
func explain(err error) error {
	var (
		plain   *PlainHTTPError
		missing *MissingError
		answer  *transport.Error
	)
	switch {
	case errors.As(err, &plain):
		return plain
	case errors.As(err, &missing):
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens there, is it up? %w", err)
	case errors.As(err, &answer) && answer.Request != nil && refused(answer.StatusCode):
		return &AccessError{Host: answer.Request.URL.Host, Path: answer.Request.URL.Path, Status: answer.StatusCode}
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return &MissingError{err: err}
	default:
		return err
	}
}

func refused(code int) bool {
	return code == http.StatusUnauthorized || code == http.StatusForbidden
}
