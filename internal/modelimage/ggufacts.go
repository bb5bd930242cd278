package modelimage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	gguf "github.com/gpustack/gguf-parser-go"
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
	if err := checkGGUF(file, info.Size()); err != nil {
		var wrong *ggufError
		if errors.As(err, &wrong) {
			return Facts{}, refuse(name, fetchAgain, "not a sound GGUF file: %s", wrong)
		}
		return Facts{}, fmt.Errorf("read %q: %w", path, err)
	}
	// An absolute path, since the library gives a leading ~ a meaning of its own.
	whole, err := filepath.Abs(path)
	if err != nil {
		return Facts{}, fmt.Errorf("find model: %w", err)
	}
	facts, err := parseGGUF(whole)
	if err != nil {
		return Facts{}, refuse(name, fetchAgain, "not a GGUF model that llama.cpp would load: %v", err)
	}
	facts.File = name
	return facts, nil
}

// parseGGUF asks the library. It panics on metadata of an unexpected type, which
// for us is one more way in which a file can be wrong.
func parseGGUF(path string) (facts Facts, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	f, err := gguf.ParseGGUFFile(path, gguf.UseMMap(), gguf.SkipLargeMetadata())
	if err != nil {
		return Facts{}, err
	}
	meta := f.Metadata()
	if meta.Type != "model" {
		return Facts{}, fmt.Errorf("it is of type %q, not a model", meta.Type)
	}
	shape := f.Architecture()
	facts = Facts{
		Form:         FormGGUF,
		Architecture: meta.Architecture,
		Parameters:   int64(meta.Parameters),
		Context:      int64(shape.MaximumContextLength),
		Layers:       int64(shape.BlockCount),
		Heads:        int64(shape.AttentionHeadCount),
		KVHeads:      int64(shape.AttentionHeadCountKV),
		HeadDim:      int64(shape.AttentionKeyLength),
		Hidden:       int64(shape.EmbeddingLength),
		Vocabulary:   int64(f.Tokenizer().TokensLength),
		Quantization: fileType(meta.FileType),
		WeightsBytes: int64(f.TensorInfos.Bytes()),
		License:      spdxOf(meta.License),
	}
	if kv, ok := f.Header.MetadataKV.Get("tokenizer.chat_template"); ok {
		facts.ChatTemplate = digestOf(kv.ValueString())
	}
	return facts, checkShape(facts)
}

// fileType is the name that people know a quantisation by: Q4_1. The library's own
// descriptor adds suffixes that no file name has.
func fileType(t gguf.GGUFFileType) string {
	name := strings.TrimPrefix(t.String(), "MOSTLY_")
	if name == "Unknown" || strings.Contains(name, "(") {
		return ""
	}
	return name
}

// digestOf names a text without carrying it.
func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}
