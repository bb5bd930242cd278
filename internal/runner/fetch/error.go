package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"syscall"
	"time"

	"kaito.sh/kaito/internal/runner/ending"
)

// Error says why weights cannot be had, in words for the person who can change it.
type Error struct {
	// Reason is one of the endings that are about weights.
	Reason ending.Reason
	// Message says what was tried on what, and what to do.
	Message string
	// Err is the cause, where there is one. It is not part of the text.
	Err error
	// Wait is how long the other side asked us to wait.
	Wait time.Duration
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Ending is the message with which the runner ends. What may pass by itself ends
// with the general exit code, what somebody must change with ending.CodeConfig.
func (e *Error) Ending() *ending.Ending {
	code := ending.CodeConfig
	if e.Reason == ending.WeightsUnreachable || e.Reason == ending.WeightsCorrupt {
		code = ending.CodeFailed
	}
	return &ending.Ending{Reason: e.Reason, Message: e.Message, ExitCode: code}
}

// Unusable is an Error about content that must not be taken.
func Unusable(format string, args ...any) *Error {
	return &Error{Reason: ending.WeightsUnusable, Message: fmt.Sprintf(format, args...)}
}

// passing says whether another attempt could succeed: the line or the other side had
// a problem, not the request.
func passing(err error) bool {
	var e *Error
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled), errors.As(err, &cert):
		return false
	case errors.As(err, &e):
		return e.Reason == ending.WeightsUnreachable
	default:
		return true
	}
}

// local is an error of our own disk.
func local(doing string, err error) error {
	var e *Error
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &Error{Reason: ending.DiskFull, Err: err, Message: fmt.Sprintf(
			"The volume is full (%s: %v); mount a larger one, give the node a larger disk, or fetch less", doing, err)}
	default:
		return &Error{Reason: ending.Internal, Err: err, Message: fmt.Sprintf("%s: %v", doing, err)}
	}
}
