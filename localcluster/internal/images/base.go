package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kaito.sh/kaito/localcluster/internal/images/layer"
)

// baseLock lists the packages of the base tree.
const baseLock = "runtimes/base/packages.lock"

// baseImage stands for the base tree in messages, logs and the table.
func baseImage() Image { return Image{Name: "base", Lock: baseLock, Space: 2 * gib} }

// base is the tree that the Debian images add to.
type base struct {
	Record
	Index layer.Index `json:"index"`
}

// baseKey is known before the base is built: what it is built from.
func baseKey(source string) (string, error) {
	lock, err := lockSum(source, baseImage())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{recipe, suite, BaseName, lock}, "\n")))
	return hex.EncodeToString(sum[:]), nil
}

// loadBase answers the base of an earlier run when it is whole and of this key.
func (b *Builder) loadBase(ctx context.Context, key string) (base, bool, error) {
	var was base
	found, err := readJSON(b.store.recordFile(baseImage().Name), &was)
	if err != nil || !found || was.Key != key || len(was.Layers) != 1 {
		return was, false, err
	}
	placed, whole := was.Layers[0].In(b.store.layers())
	was.Layers[0] = placed
	return was, whole && b.engine.have(ctx, BaseName) == was.ImageID, nil
}

// makeBase answers the base, and makes it when there is none of this key.
func (b *Builder) makeBase(ctx context.Context) (base, error) {
	key, err := baseKey(b.options.Source)
	if err != nil {
		return base{}, err
	}
	was, usable, err := b.loadBase(ctx, key)
	if err != nil {
		return base{}, err
	}
	if usable && !b.options.UpdateLocks {
		b.rows = append(b.rows, row{name: baseImage().Name, state: "unchanged", record: was.Record})
		return was, nil
	}
	var made base
	err = b.measured(baseImage(), "Debian "+suite+" by mmdebstrap", func(log io.Writer) (err error) {
		made, err = b.bootstrap(ctx, log, was)
		return err
	})
	if err != nil {
		return base{}, err
	}
	if made.Key, err = baseKey(b.options.Source); err != nil { // its lock may be new
		return base{}, err
	}
	b.rows = append(b.rows, row{name: baseImage().Name, state: "built", record: made.Record, built: true})
	return made, writeJSON(b.store.recordFile(baseImage().Name), made)
}

// bootstrap makes the tree. One that came out the same as before keeps the image of
// before, so that the layers which were built on it are used on.
func (b *Builder) bootstrap(ctx context.Context, log io.Writer, was base) (made base, err error) {
	began, cpu := b.options.Now(), b.cpu()
	folder, err := os.MkdirTemp(b.options.Cache, treePrefix)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	tree := filepath.Join(folder, "tree")
	if err := b.engine.bootstrap(ctx, log, tree); err != nil {
		return made, err
	}
	if made.Packages, err = ReadPackages(tree); err != nil {
		return made, err
	}
	if err := b.checkLock(log, baseImage(), made.Packages); err != nil {
		return made, err
	}
	if err := layer.Clean(tree, nil); err != nil {
		return made, err
	}
	blob, err := layer.Store(b.store.layers(), func(w io.Writer) (err error) {
		made.Index, err = layer.Write(w, tree, nil)
		return err
	})
	if err != nil {
		return made, err
	}
	made.Layers = []*layer.Blob{blob}
	digest, err := blob.Digest()
	if err != nil {
		return made, err
	}
	made.Digest = digest.String()
	made.ImageID = was.ImageID
	if made.Digest != was.Digest || b.engine.have(ctx, BaseName) != was.ImageID {
		if made.ImageID, err = b.engine.adopt(ctx, log, tree, BaseName); err != nil {
			return made, err
		}
	}
	made.Wall, made.CPU = b.options.Now().Sub(began), b.cpu()-cpu
	return made, nil
}

// checkLock compares what was installed with the lock: it writes the lock when asked
// to (or when there is none), warns of a difference, and fails on one only when the
// locks are strict. The smoke test decides what a difference is worth.
func (b *Builder) checkLock(log io.Writer, image Image, found Packages) error {
	file := filepath.Join(b.options.Source, image.Lock)
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if b.options.UpdateLocks {
		b.say(image.Name, "wrote %s (%d packages)", image.Lock, len(found))
		return writeWhole(file, []byte(found.Format()))
	}
	locked, err := ParseLock(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", image.Lock, err)
	}
	lines := Difference(locked, found)
	if len(lines) == 0 {
		return nil
	}
	for _, line := range lines {
		_, _ = fmt.Fprintln(log, "differs from the lock:", line)
	}
	if b.options.Locked {
		return &DriftError{Lock: image.Lock, Lines: lines}
	}
	b.say(image.Name, "warning: the distribution has moved, %d packages differ from %s; the smoke test decides", len(lines), image.Lock)
	for _, line := range lines[:min(len(lines), shown)] {
		b.say(image.Name, "  %s", line)
	}
	if more := len(lines) - shown; more > 0 {
		b.say(image.Name, "  and %d more in %s; --update-locks writes them all down", more, b.store.logFile(image.Name))
	}
	return nil
}

// shown is how many differences from a lock are printed; the log has them all.
const shown = 12

// seconds prints a duration for people.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
