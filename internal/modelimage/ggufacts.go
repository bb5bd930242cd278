package modelimage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"kaito.sh/kaito/internal/gguf"
	"kaito.sh/kaito/internal/licence"
)

// ggufSplit matches one part of a model that gguf-split cut into several files.
var ggufSplit = regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`)

const fetchAgain = "fetch the file again and compare its checksum with the source's"

// readGGUF checks a GGUF file and reads its facts.
func readGGUF(path string) (Facts, error) {
	name := filepath.Base(path)
	if ggufSplit.MatchString(name) {
		return Facts{}, refuse(name, "join the parts first: llama-gguf-split --merge FIRST-PART OUT.gguf", "is one part of a split model")
	}
	file, err := os.Open(path)
	if err != nil {
		return Facts{}, fmt.Errorf("open model: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return Facts{}, fmt.Errorf("open model: %w", err)
	}
	if err := refusePointer(file, name); err != nil {
		return Facts{}, err
	}
	found, err := gguf.Read(file, info.Size())
	var wrong *gguf.Error
	var other *gguf.NotModelError
	switch {
	case errors.As(err, &wrong):
		return Facts{}, refuse(name, fetchAgain, "not a sound GGUF file: %s", wrong)
	case errors.As(err, &other):
		return Facts{}, refuse(name, fetchAgain, "not a GGUF model that llama.cpp would load: %v", other)
	case err != nil:
		return Facts{}, fmt.Errorf("read %q: %w", path, err)
	}
	facts := ggufFacts(found)
	if err := checkShape(facts); err != nil {
		return Facts{}, refuse(name, fetchAgain, "not a GGUF model that llama.cpp would load: %v", err)
	}
	facts.File = name
	return facts, nil
}

// ggufFacts is what an image says of what the header said.
func ggufFacts(g gguf.Facts) Facts {
	f := Facts{
		Form: FormGGUF, Architecture: g.Architecture, Parameters: g.Parameters, Context: g.Context, Layers: g.Layers, Heads: g.Heads,
		KVHeads: g.KVHeads, HeadDim: g.KeyWidth, Hidden: g.Hidden, Vocabulary: g.Vocabulary, Quantization: g.Quantisation,
		WeightsBytes: g.TensorBytes, License: licence.Of(g.Licence),
	}
	if g.ChatTemplate != "" {
		f.ChatTemplate = digestOf(g.ChatTemplate)
	}
	return f
}

// digestOf names a text without carrying it.
func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}
