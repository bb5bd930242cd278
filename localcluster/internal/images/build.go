package images

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"kaito.sh/kaito/localcluster/internal/images/layer"
)

// scratch is the empty base.
const scratch = "scratch"

// make builds one image and keeps its record.
func (b *Builder) make(ctx context.Context, step Step, on base) (Record, error) {
	began, cpu := b.options.Now(), b.cpu()
	var made Record
	err := b.measured(step.Image, step.Why, func(log io.Writer) (err error) {
		made, err = b.build(ctx, log, step, on)
		return err
	})
	if err != nil {
		return made, err
	}
	made.Key = step.Key
	// The lock may have been written just now.
	if made.Lock, err = lockSum(b.options.Source, step.Image); err != nil {
		return made, err
	}
	made.Wall, made.CPU = b.options.Now().Sub(began), b.cpu()-cpu
	return made, b.store.save(step.Image.Name, made)
}

func (b *Builder) build(ctx context.Context, log io.Writer, step Step, on base) (made Record, err error) {
	name, points, err := b.engine.build(ctx, log, step, b.options.Source)
	if err != nil {
		return made, err
	}
	if made.Config, err = b.engine.config(ctx, log, name); err != nil {
		return made, err
	}
	made.ImageID = b.engine.have(ctx, name)
	container := "kaito-" + step.Image.Name
	tree, err := b.engine.mount(ctx, log, name, container)
	if err != nil {
		return made, err
	}
	defer b.engine.release(ctx, container)
	if made.Packages, err = ReadPackages(tree); err != nil {
		return made, err
	}
	if step.Image.Lock != "" {
		if err := b.checkLock(log, step.Image, made.Packages); err != nil {
			return made, err
		}
	}
	if err := layer.Clean(tree, points); err != nil {
		return made, err
	}
	if made.Layers, err = b.layers(tree, step, on); err != nil {
		return made, err
	}
	image, err := made.Image()
	if err != nil {
		return made, err
	}
	digest, err := image.Digest()
	if err != nil {
		return made, err
	}
	made.Digest = digest.String()
	return made, b.smoke(ctx, log, step.Image, container)
}

// layers writes what the image adds to its base. The base is the same bytes in every
// image, so a registry and a node hold it once.
func (b *Builder) layers(tree string, step Step, on base) ([]*layer.Blob, error) {
	var below layer.Index
	var all []*layer.Blob
	if step.Base != scratch {
		below, all = on.Index, append(all, on.Layers...)
	}
	blob, err := layer.Store(b.store.layers(), func(w io.Writer) error {
		_, err := layer.Write(w, tree, below)
		return err
	})
	return append(all, blob), err
}

// smoke runs the image's own test in its cleaned tree, as its user.
func (b *Builder) smoke(ctx context.Context, log io.Writer, image Image, container string) error {
	volumes, argv := []string(nil), image.SmokeCommand
	if image.SmokeScript != "" {
		inside := "/run/kaito-smoke.sh"
		volumes = []string{filepath.Join(b.options.Source, image.SmokeScript) + ":" + inside + ":ro"}
		argv = []string{"/bin/sh", inside}
	}
	_, _ = fmt.Fprintf(log, "smoke test: %q\n", argv)
	if err := b.engine.inside(ctx, log, container, volumes, argv); err != nil {
		return fmt.Errorf("smoke test of the built image: %w", err)
	}
	return nil
}
