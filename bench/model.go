package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"kaito.sh/kaito/internal/modelimage"
	"kaito.sh/kaito/internal/oci"
)

const runs = 3

// packageModel measures `kaito model package`, and beside it what any packager
// has to do: copy the bytes and hash them.
func packageModel(ctx context.Context, o options) ([]result, error) {
	model := filepath.Join(o.dir, "model.gguf")
	if err := writeModel(model, o.bytes); err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(model) }()
	out := filepath.Join(o.dir, "model.oci")
	pack, err := best(o, func() error {
		// Without the layout of the run before: replacing one deletes a gigabyte.
		if err := os.RemoveAll(out); err != nil {
			return err
		}
		_, err := modelimage.Package(ctx, modelimage.Options{Path: model, Name: "bench", Out: out})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("package: %w", err)
	}
	defer func() { _ = os.RemoveAll(out) }()
	hash, err := best(o, func() error { return hashFile(model) })
	if err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	duplicate, err := best(o, func() error { return copyFile(model, filepath.Join(o.dir, "copy")) })
	if err != nil {
		return nil, fmt.Errorf("copy: %w", err)
	}
	return []result{
		{Name: "model package, wall", Value: pack.rate(o.bytes), Unit: "MB/s"},
		{Name: "model package, per CPU second", Value: pack.ratePerCPU(o.bytes), Unit: "MB/s"},
		{Name: "sha256 alone, wall", Value: hash.rate(o.bytes), Unit: "MB/s"},
		{Name: "copy alone, wall", Value: duplicate.rate(o.bytes), Unit: "MB/s"},
		{Name: "model package against sha256 alone", Value: pack.wall.Seconds() / hash.wall.Seconds(), Unit: "x"},
		{Name: "model package against copy alone", Value: pack.wall.Seconds() / duplicate.wall.Seconds(), Unit: "x"},
	}, nil
}

// pushModel measures a push to a registry in this process, which keeps uploads
// in memory: a quarter of the model's size is enough to see a rate.
func pushModel(ctx context.Context, o options) ([]result, error) {
	size := o.bytes / 4
	model, out := filepath.Join(o.dir, "model.gguf"), filepath.Join(o.dir, "model.oci")
	if err := writeModel(model, size); err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(model) }()
	if _, err := modelimage.Package(ctx, modelimage.Options{Path: model, Name: "bench", Out: out}); err != nil {
		return nil, fmt.Errorf("package: %w", err)
	}
	defer func() { _ = os.RemoveAll(out) }()
	push, err := best(o, func() error {
		server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		defer server.Close()
		_, err := oci.New(oci.Options{}).Push(ctx, out, strings.TrimPrefix(server.URL, "http://")+"/bench:x")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	return []result{
		{Name: "model push to a registry in this process, wall", Value: push.rate(size), Unit: "MB/s"},
		{Name: "model push, both sides, per CPU second", Value: push.ratePerCPU(size), Unit: "MB/s"},
	}, nil
}

// spent is what one run took.
type spent struct {
	wall, cpu time.Duration
}

func (s spent) rate(n int64) float64       { return float64(n) / 1e6 / s.wall.Seconds() }
func (s spent) ratePerCPU(n int64) float64 { return float64(n) / 1e6 / s.cpu.Seconds() }

// best is the quickest of some runs: the others were disturbed.
func best(o options, work func() error) (spent, error) {
	var least spent
	for i := range runs {
		watch := o.stopwatch()
		if err := work(); err != nil {
			return least, err
		}
		wall, cpu := watch.stop()
		if i == 0 || wall < least.wall {
			least = spent{wall: wall, cpu: cpu}
		}
	}
	return least, nil
}

// writeModel writes a GGUF file of one tensor of random bytes.
func writeModel(path string, size int64) error {
	var head bytes.Buffer
	put := func(v any) { _ = binary.Write(&head, binary.LittleEndian, v) } // a Buffer takes everything
	text := func(s string) { put(uint64(len(s))); head.WriteString(s) }
	head.WriteString("GGUF")
	put(uint32(3))
	put([]uint64{1, 2})
	for _, kv := range [][2]string{{"general.architecture", "llama"}, {"general.license", "mit"}} {
		text(kv[0])
		put(uint32(8))
		text(kv[1])
	}
	text("token_embd.weight")
	put(uint32(1))
	put(uint64(size) / 4)
	put(uint32(0))
	put(uint64(0))
	head.Write(make([]byte, (32-head.Len()%32)%32))
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	_, err = io.Copy(file, io.MultiReader(&head, io.LimitReader(rand.NewChaCha8([32]byte{}), size)))
	return errors.Join(err, file.Sync(), file.Close())
}

func hashFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open model: %w", err)
	}
	defer func() { _ = file.Close() }()
	_, err = io.CopyBuffer(struct{ io.Writer }{sha256.New()}, file, make([]byte, 1<<20))
	return err
}

func copyFile(from, to string) error {
	defer func() { _ = os.Remove(to) }()
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("open model: %w", err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("create copy: %w", err)
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
