package fetch

import (
	"crypto/sha1" //nolint:gosec // the name that git gives to a file; large files have SHA-256
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
)

// Digest is what bytes must add up to.
type Digest struct {
	// Kind says how they are added up.
	Kind Kind
	// Hex is the sum in lower-case hexadecimal digits.
	Hex string
}

// Kind is a way to add up bytes.
type Kind string

const (
	// SHA256 is of the bytes alone.
	SHA256 Kind = "sha256"
	// GitBlob is git's name of a file: SHA-1 of a header with its size, and the bytes.
	GitBlob Kind = "git-blob"
)

// ParseDigest reads hexadecimal digits of the length that kind has.
func ParseDigest(kind Kind, digits string) (Digest, error) {
	raw, err := hex.DecodeString(digits)
	if err != nil || hex.EncodeToString(raw) != digits || len(raw) != kind.size() {
		return Digest{}, fmt.Errorf("%q is no %s digest", digits, kind)
	}
	return Digest{Kind: kind, Hex: digits}, nil
}

func (k Kind) size() int {
	if k == GitBlob {
		return sha1.Size
	}
	return sha256.Size
}

// String is kind:hex.
func (d Digest) String() string { return string(d.Kind) + ":" + d.Hex }

// sum begins to add up a stream of size bytes.
func (d Digest) sum(size int64) hash.Hash {
	if d.Kind == GitBlob {
		h := sha1.New() //nolint:gosec // see the import
		fmt.Fprintf(h, "blob %d\x00", size)
		return h
	}
	return sha256.New()
}

// is says whether h added up to d.
func (d Digest) is(h hash.Hash) bool { return hex.EncodeToString(h.Sum(nil)) == d.Hex }
