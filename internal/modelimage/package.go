package modelimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kaito.sh/kaito/internal/licence"
)

// Options say what to package and what to write about it.
type Options struct {
	// Path is a GGUF file or a folder in transformers form.
	Path string
	// Name is the model's id.
	Name string
	// Out is the folder for the OCI image layout. An earlier layout there is replaced.
	Out string
	// LicenseFile is the licence text; empty takes what the model itself brings.
	LicenseFile string
	// License is an SPDX expression that overrides what was recognised.
	License string
	// NoLicense is the reason for packaging a model that brings none.
	NoLicense string
	// Source and Revision say where the model came from.
	Source   string
	Revision string
	// Report is called as bytes are written; nil is fine.
	Report func(Progress)
}

// Progress is how far packaging is, in bytes.
type Progress struct {
	Done, Total int64
}

// Result is a packaged model.
type Result struct {
	// Dir is the OCI image layout.
	Dir string
	// Digest is the manifest's, the same for the same input.
	Digest v1.Hash
	// Image is what the manifest says.
	Image Image
	// Left are the files of the folder that were not carried.
	Left []string
	// Unchanged says that Dir already held exactly this image.
	Unchanged bool
}

var modelName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$`)

// Package checks a model and writes it as an OCI image layout.
func Package(ctx context.Context, o Options) (Result, error) {
	if !modelName.MatchString(o.Name) {
		return Result{}, refuse("", "use letters, digits, dots, dashes and slashes, like smollm2-135m-instruct", "%q is no model name", o.Name)
	}
	m, err := load(o)
	if err != nil {
		return Result{}, err
	}
	defer m.close()
	if err := replaceable(o.Out); err != nil {
		return Result{}, err
	}
	// Written beside the target, so that a run that was cut leaves no half image there.
	partial := filepath.Clean(o.Out) + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return Result{}, fmt.Errorf("clear %q: %w", partial, err)
	}
	image, digest, err := writeLayout(ctx, partial, m, o.Report)
	if err != nil {
		_ = os.RemoveAll(partial)
		if errors.Is(err, syscall.ENOSPC) {
			return Result{}, fmt.Errorf("package %q: it needs %d bytes beside %q: %w; free some space or choose another --out", o.Path, m.total(), o.Out, err)
		}
		return Result{}, fmt.Errorf("package %q: %w", o.Path, err)
	}
	unchanged, err := settle(partial, o.Out)
	if err != nil {
		return Result{}, err
	}
	return Result{Dir: o.Out, Digest: digest, Image: image, Left: m.left, Unchanged: unchanged}, nil
}

// model is a checked model, ready to be written.
type model struct {
	facts   Facts
	members []member
	left    []string
	root    *os.Root
}

func (m *model) close() {
	if m.root != nil {
		_ = m.root.Close()
	}
}

func (m *model) total() int64 {
	var n int64
	for _, x := range m.members {
		n += x.size
	}
	return n
}

// load checks the model at o.Path and collects its files.
func load(o Options) (*model, error) {
	info, err := os.Stat(o.Path)
	if err != nil {
		return nil, fmt.Errorf("find model: %w", err)
	}
	m := &model{}
	if info.IsDir() {
		err = m.loadFolder(o)
	} else {
		err = m.loadFile(o.Path)
	}
	if err != nil {
		m.close()
		return nil, err
	}
	m.facts.Name, m.facts.Source, m.facts.Revision = o.Name, o.Source, o.Revision
	if err := m.settleLicense(o); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// loadFile takes one GGUF file.
func (m *model) loadFile(file string) error {
	name := filepath.Base(file)
	switch {
	case strings.HasSuffix(strings.ToLower(name), ".safetensors"):
		return refuse(name, "give the folder that holds it and its config.json", "is weights without their configuration")
	case !fileName.MatchString(name):
		return refuse(name, "rename it to letters, digits, dots, dashes and underscores", "has a name that we do not carry")
	}
	facts, err := readGGUF(file)
	if err != nil {
		return err
	}
	m.facts = facts
	return m.add(name, func() (*os.File, error) { return os.Open(file) })
}

// loadFolder takes a folder in transformers form.
func (m *model) loadFolder(o Options) error {
	root, err := os.OpenRoot(o.Path)
	if err != nil {
		return fmt.Errorf("open model: %w", err)
	}
	m.root = root
	f, err := readFolder(root)
	if err != nil {
		return err
	}
	m.facts, m.left = f.facts, f.left
	if f.license != "" && o.LicenseFile == "" {
		if err := m.addLicense(func() (*os.File, error) { return root.Open(f.license) }); err != nil {
			return err
		}
	}
	for _, name := range f.files {
		if err := m.add(name, func() (*os.File, error) { return root.Open(name) }); err != nil {
			return err
		}
	}
	return nil
}

// add appends a file.
func (m *model) add(name string, open func() (*os.File, error)) error {
	file, err := open()
	if err != nil {
		return fmt.Errorf("open %q: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("open %q: %w", name, err)
	}
	m.members = append(m.members, member{name: name, size: info.Size(), open: func() (io.ReadCloser, error) { return open() }})
	return nil
}

// addLicense carries a licence text and recognises it where nothing else named it.
func (m *model) addLicense(open func() (*os.File, error)) error {
	file, err := open()
	if err != nil {
		return fmt.Errorf("open licence: %w", err)
	}
	defer func() { _ = file.Close() }()
	const limit = 1 << 20
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return fmt.Errorf("read licence: %w", err)
	case len(text) > limit:
		return refuse(file.Name(), "give the licence's text", "has more than %d bytes, which no licence has", limit)
	case len(bytes.TrimSpace(text)) == 0:
		return refuse(file.Name(), "give the licence's text", "is an empty licence")
	}
	if m.facts.License == "" {
		m.facts.License = licence.OfText(text)
	}
	m.members = append([]member{{name: LicenseFile, size: int64(len(text)), open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(text)), nil
	}}}, m.members...)
	return nil
}

// settleLicense decides what the image says about its licence, and refuses a
// model that says nothing.
func (m *model) settleLicense(o Options) error {
	if o.LicenseFile != "" {
		if err := m.addLicense(func() (*os.File, error) { return os.Open(o.LicenseFile) }); err != nil {
			return err
		}
	}
	if o.License != "" {
		m.facts.License = licence.Of(o.License)
	}
	switch {
	case m.facts.License != "" && o.NoLicense != "":
		return refuse("", "leave out --no-license", "the model says that its licence is %s", m.facts.License)
	case m.facts.License == "" && o.NoLicense == "":
		return refuse("", "give it with --license-file FILE or --license SPDX-ID, or say why there is none with --no-license REASON",
			"the model names no licence")
	}
	m.facts.NoLicense = o.NoLicense
	return nil
}
