// Package modelimage turns a model into an OCI image and reads one back: the
// facts of a GGUF file or of a transformers folder, one stored layer a file, and
// the manifest that carries facts and licence as annotations.
//
// What it reads comes from strangers. Every header is walked with bounds before
// a library or a server sees it, and a refusal says what is wrong and where.
package modelimage

import (
	"fmt"
)

// Where files stand in the image, and what the parts of an image are called.
const (
	// Dir is the folder of a model image that holds the model's files.
	Dir = "model"
	// LicenseFile is the name of the licence text under Dir.
	LicenseFile = "LICENSE"
)

// RefusedError says that a model cannot be packaged as it is, and what to do.
type RefusedError struct {
	// File is the offending file, relative to the model where there is a folder.
	File string
	// Why says what is wrong, with the offset where that is known.
	Why string
	// Fix says what the user can do.
	Fix string
}

// Error says file, reason and fix on one line.
func (e *RefusedError) Error() string {
	text := e.Why
	if e.File != "" {
		text = fmt.Sprintf("%q: %s", e.File, e.Why)
	}
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	return text
}

// refuse is a RefusedError with a formatted reason.
func refuse(file, fix, format string, args ...any) error {
	return &RefusedError{File: file, Why: fmt.Sprintf(format, args...), Fix: fix}
}
