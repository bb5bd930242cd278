// Package fetch brings the files of a model into a folder and proves that they are
// the right ones. Where they come from is a Source: a registry (package image) or a
// hub (package hub). What is the same for both stands here: requests that go on where
// the last one was cut, digests, free space, names that do not lead out of the folder,
// files that appear whole or not at all, and a second run that finds what the first
// one brought.
package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// Source is a place that has weights.
type Source interface {
	// Plan finds out what there is to fetch. An error that is not an *Error, or one
	// that may pass, is tried again.
	Plan(ctx context.Context) (Plan, error)
}

// Plan is what there is to fetch.
type Plan struct {
	// Origin names exactly what was found: an image by digest, a repository by commit.
	Origin string
	// Content is what the parts hold; the zero value is Model.
	Content Content
	// Parts are fetched beside each other, in this order.
	Parts []Part
}

// Part is one stream of bytes with a digest: a file, or a layer of an image.
type Part struct {
	// Name is the file's path below the folder; of a layer, what messages call it.
	Name string
	// Size is the number of bytes of the stream.
	Size int64
	// Digest is what they must add up to.
	Digest Digest
	// Form says what the bytes are.
	Form Form
	// Wanted chooses among the files of an archive; nil wants all.
	Wanted func(name string) bool
	// Open asks for the bytes from the given one to the end. Errors are as of Plan.
	Open func(ctx context.Context, from int64) (io.ReadCloser, error)
}

// Form is what a part's bytes are.
type Form int

const (
	// Plain is the file itself.
	Plain Form = iota
	// Tar is an archive, of which the files below Folder are taken.
	Tar
	// TarGzip is the same, compressed with gzip.
	TarGzip
	// TarZstd is the same, compressed with zstd.
	TarZstd
)

// Content is what a fetch brings, for where its files stand in an image and for messages.
type Content struct {
	// Folder is the folder of an image that holds the files.
	Folder string
	// Noun is what the files are together: model.
	Noun string
	// Again says how to make an image of them anew.
	Again string
	// SecretsField is where a user names the pull Secrets.
	SecretsField string
}

// Model is what every fetch brings unless its source says otherwise.
func Model() Content {
	return Content{
		Folder: "model", Noun: "model", Again: "package the model with `kaito model package`, one layer a file", SecretsField: "presetOptions.imagePullSecrets",
	}
}

// key tells parts apart: two files may have the same bytes.
func (p Part) key() string { return p.Digest.String() + " " + p.Name }

// piece is what the names of this part's unfinished files begin with.
func (p Part) piece() string {
	sum := sha256.Sum256([]byte(p.key()))
	return hex.EncodeToString(sum[:16]) + "."
}

// Size is the number of bytes of all parts.
func (p Plan) Size() int64 {
	var n int64
	for _, part := range p.Parts {
		n += part.Size
	}
	return n
}
