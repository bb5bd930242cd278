package layer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// workers is fixed, so that the compressed bytes do not depend on the machine.
const workers = 2

// Blob is a compressed layer that lies in a file. It is compressed once, when it is
// made; hashing and pushing it later only reads the file. It is a v1.Layer.
type Blob struct {
	digest, diffID v1.Hash
	size           int64
	file           string
}

// record is how a Blob is written down.
type record struct {
	Digest v1.Hash `json:"digest"`
	DiffID v1.Hash `json:"diffID"`
	Size   int64   `json:"size"`
}

// Store writes what fill writes as a zstd blob into dir, under its digest.
func Store(dir string, fill func(io.Writer) error) (blob *Blob, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of layers: %w", err)
	}
	f, err := os.CreateTemp(dir, "partial-*")
	if err != nil {
		return nil, fmt.Errorf("write a layer: %w", err)
	}
	defer func() { err = errors.Join(err, ignoreGone(os.Remove(f.Name()))) }()
	packed, plain := sha256.New(), sha256.New()
	size, err := compress(f, packed, plain, fill)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("write a layer to %q: %w", dir, err)
	}
	b := &Blob{digest: hashOf(packed), diffID: hashOf(plain), size: size}
	b.file = filepath.Join(dir, b.digest.Hex+".tar.zst")
	if err := os.Rename(f.Name(), b.file); err != nil {
		return nil, fmt.Errorf("keep a layer: %w", err)
	}
	return b, nil
}

func compress(f io.Writer, packed, plain io.Writer, fill func(io.Writer) error) (int64, error) {
	n := &counter{}
	z, err := zstd.NewWriter(io.MultiWriter(f, packed, n), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(workers))
	if err != nil {
		return 0, err
	}
	err = fill(io.MultiWriter(z, plain))
	return n.n, errors.Join(err, z.Close())
}

// counter counts bytes.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func hashOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// MarshalJSON writes down everything but the folder.
func (b *Blob) MarshalJSON() ([]byte, error) {
	return json.Marshal(record{Digest: b.digest, DiffID: b.diffID, Size: b.size})
}

// UnmarshalJSON reads what MarshalJSON wrote; In then says where the file lies.
func (b *Blob) UnmarshalJSON(data []byte) error {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	*b = Blob{digest: r.Digest, diffID: r.DiffID, size: r.Size}
	return nil
}

// In answers the blob with its file in dir, and whether the file is there in full size.
func (b *Blob) In(dir string) (*Blob, bool) {
	c := *b
	c.file = filepath.Join(dir, c.digest.Hex+".tar.zst")
	info, err := os.Stat(c.file)
	return &c, err == nil && info.Size() == c.size
}

// File is where the compressed bytes lie.
func (b *Blob) File() string { return b.file }

// Digest is the hash of the compressed bytes.
func (b *Blob) Digest() (v1.Hash, error) { return b.digest, nil }

// DiffID is the hash of the tar stream.
func (b *Blob) DiffID() (v1.Hash, error) { return b.diffID, nil }

// Size is the number of compressed bytes.
func (b *Blob) Size() (int64, error) { return b.size, nil }

// MediaType is that of a zstd layer.
func (b *Blob) MediaType() (types.MediaType, error) { return types.OCILayerZStd, nil }

// Compressed opens the file.
func (b *Blob) Compressed() (io.ReadCloser, error) { return os.Open(b.file) }

// Uncompressed opens the tar stream.
func (b *Blob) Uncompressed() (io.ReadCloser, error) {
	f, err := os.Open(b.file)
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return plainReader{z.IOReadCloser(), f}, nil
}

// plainReader closes the decoder and then the file.
type plainReader struct {
	io.ReadCloser
	file io.Closer
}

func (r plainReader) Close() error { return errors.Join(r.ReadCloser.Close(), r.file.Close()) }
