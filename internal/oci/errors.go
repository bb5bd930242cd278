package oci

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// PlainHTTPError says that a registry answers, but not with TLS.
type PlainHTTPError struct{ Host string }

// Error says what would be at risk.
func (e *PlainHTTPError) Error() string {
	return fmt.Sprintf("registry %s answers plain HTTP only, which would show credentials and models to the network", e.Host)
}

// AccessError says that a registry knows us too little, or does not let us.
type AccessError struct {
	// Host is the registry, Path what was asked of it.
	Host, Path string
	// Status is 401 where credentials are missing or wrong, 403 where they do not suffice.
	Status int
	// Words are the registry's own, or empty.
	Words string
}

// Error says what was asked and what was answered.
func (e *AccessError) Error() string {
	text := fmt.Sprintf("registry %s answered %d %s to %s", e.Host, e.Status, http.StatusText(e.Status), e.Path)
	if e.Words != "" {
		text += " (" + e.Words + ")"
	}
	return text
}

// words are what a registry said, on one line and short.
func words(answer *transport.Error) string {
	var all []string
	for _, d := range answer.Errors {
		all = append(all, strings.TrimSuffix(string(d.Code)+": "+d.Message, ": "))
	}
	text := strings.Join(strings.Fields(strings.Join(all, "; ")), " ")
	const limit = 300
	if runes := []rune(text); len(runes) > limit {
		text = string(runes[:limit]) + "…"
	}
	return text
}

// RefusedError says that a registry does not take what was asked of it, whoever asks.
type RefusedError struct {
	// Host is the registry.
	Host string
	// Status is the answer's, Words are the registry's own.
	Status int
	Words  string
	err    error
}

// Error is the registry's answer.
func (e *RefusedError) Error() string { return e.err.Error() }

// Unwrap is the answer.
func (e *RefusedError) Unwrap() error { return e.err }

func refusedBy(answer *transport.Error, err error) error {
	e := &RefusedError{Status: answer.StatusCode, Words: words(answer), err: err}
	if answer.Request != nil {
		e.Host = answer.Request.URL.Host
	}
	return e
}

// refusal tells an answer that is about the request, or a registry that takes nothing,
// from a bad moment.
func refusal(answer *transport.Error) bool {
	for _, d := range answer.Errors {
		switch d.Code {
		case transport.DeniedErrorCode, transport.UnsupportedErrorCode:
			return true
		default:
		}
		if said := strings.ToLower(d.Message); strings.Contains(said, "read-only") || strings.Contains(said, "read only") || strings.Contains(said, "readonly") {
			return true
		}
	}
	switch code := answer.StatusCode; code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusTooEarly:
		return false
	case http.StatusNotImplemented, http.StatusInsufficientStorage:
		return true
	default:
		return code >= http.StatusBadRequest && code < http.StatusInternalServerError
	}
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
		return &AccessError{Host: answer.Request.URL.Host, Path: answer.Request.URL.Path, Status: answer.StatusCode, Words: words(answer)}
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return &MissingError{err: err}
	case errors.As(err, &answer) && refusal(answer):
		return refusedBy(answer, err)
	default:
		return err
	}
}

func refused(code int) bool {
	return code == http.StatusUnauthorized || code == http.StatusForbidden
}
