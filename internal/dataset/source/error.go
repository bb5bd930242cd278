// Package source brings the files of a data set to where they can be read: from addresses
// and from folders. What it says never holds the query or the password of an address,
// because that is where keys stand.
package source

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Kind says what has to change before a data set can be had.
type Kind string

// The kinds.
const (
	// NotFound: there is no such file.
	NotFound Kind = "not found"
	// Refused: the other side wants credentials, or we may not ask it.
	Refused Kind = "refused"
	// Unreachable may pass by itself.
	Unreachable Kind = "unreachable"
	// Unusable: what is there is no data set.
	Unusable Kind = "unusable"
	// Full: the disk or the limit is too small.
	Full Kind = "full"
	// Broken: our own disk does not work.
	Broken Kind = "broken"
)

// Error says why a data set cannot be had, in words for the person who can change it.
type Error struct {
	Kind Kind
	// Message says what was tried on what, and what to do.
	Message string
	// Err is the cause, where there is one. It is not part of the text.
	Err error
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

func failed(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: cause}
}

// local is an error of our own disk.
func local(doing string, err error) error {
	var mine *Error
	switch {
	case err == nil || errors.As(err, &mine):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return failed(Full, err, "The disk is full (%s: %v); free some of it, or use a smaller data set", doing, err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return failed(Refused, err, "What is there may not be read (%s: %v); let everybody read it, or user 2000", doing, err)
	}
	return failed(Broken, err, "%s: %v", doing, err)
}
