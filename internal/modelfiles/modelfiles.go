// Package modelfiles says which files of a model an engine loads. A repository of a hub
// and a folder often hold the same weights several times: for other programs, in other
// forms, and as pickles, which can run code when they are loaded.
package modelfiles

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// File is one file of a repository or folder.
type File struct {
	// Path is relative, with slashes.
	Path string
	// Size is in bytes.
	Size int64
	// SHA256 or GitBlob is what its bytes add up to, in hexadecimal digits, where a hub
	// said so: the first of its bytes alone, the second git's own, SHA-1 with a header.
	SHA256, GitBlob string
}

// Reason is why files cannot be used.
type Reason string

const (
	// NoMatch is a pattern that finds no file.
	NoMatch Reason = "NoMatch"
	// NoWeights is a model without any file that holds weights.
	NoWeights Reason = "NoWeights"
	// OnlyPickles is a model whose weights are there as pickles only.
	OnlyPickles Reason = "OnlyPickles"
	// Ambiguous is a model of which one file must be named.
	Ambiguous Reason = "Ambiguous"
	// Broken is a file that is cut off, contradicts itself, or claims what no model has.
	Broken Reason = "Broken"
)

// Refusal says why the files of a model cannot be used, in words for the person who can
// change it.
type Refusal struct {
	// Reason is for the program, to branch on.
	Reason Reason
	// Message is one sentence: what is wrong with what, and what to do.
	Message string
}

// Error is the message.
func (r *Refusal) Error() string { return r.Message }

// Refuse is a Refusal with a message that is put together.
func Refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// What an engine loads: weights, configuration, tokenizer and chat template.
func loaded() []string {
	return []string{"*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken"}
}

// moduleFolder is a folder whose configuration an engine reads too: further chat
// templates, and the modules of an embedding model (1_Pooling, 2_Dense …). Others hold
// the same weights for other programs (original, onnx, openvino, metal, coreml …).
var moduleFolder = regexp.MustCompile(`^(additional_chat_templates|[0-9]+_[A-Za-z]+)$`)

// MostPointer is more bytes than a pointer of Git LFS has.
const MostPointer = 1 << 10

// IsPointer says whether the first bytes of a file are those of a pointer of Git LFS, which
// stands where the file itself was not fetched.
func IsPointer(begin []byte) bool {
	return bytes.HasPrefix(begin, []byte("version https://git-lfs.github.com/spec/v1"))
}

// IsPickle says whether loading the file could run code.
func IsPickle(name string) bool {
	endings := []string{".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".joblib", ".npy", ".npz"}
	return slices.Contains(endings, strings.ToLower(path.Ext(name)))
}

// IsGGUF says whether a file has the name of a GGUF.
func IsGGUF(name string) bool { return strings.EqualFold(path.Ext(name), ".gguf") }

// IsSafetensors says whether a file has the name of weights in safetensors form.
func IsSafetensors(name string) bool { return path.Ext(name) == ".safetensors" }

// Named picks the files that patterns ask for, sorted by path. Each pattern must find
// something, unless it is lenient. It never picks a pickle, unless a pattern asks for that
// ending by name. Origin is what messages call the repository.
func Named(origin string, all []File, patterns []string, lenient bool) ([]File, error) {
	found := map[string]File{}
	for _, p := range patterns {
		hits := 0
		for _, f := range all {
			if ok, err := path.Match(p, f.Path); err != nil || !ok || IsPickle(f.Path) && !IsPickle(p) {
				continue
			}
			hits++
			found[f.Path] = f
		}
		if hits == 0 && !lenient {
			return nil, Refuse(NoMatch, "No file of %s is called %q; it has %s", origin, p, Some(all))
		}
	}
	var out []File
	for _, f := range found {
		out = append(out, f)
	}
	return sorted(out), nil
}

// Usual picks what an engine loads of a model in safetensors form, sorted by path.
// Without such weights it is a Refusal: OnlyPickles or NoWeights.
func Usual(origin string, all []File) ([]File, error) {
	out := Loaded(all)
	if slices.ContainsFunc(out, func(f File) bool { return IsSafetensors(f.Path) }) {
		return out, nil
	}
	const never = "name the files to fetch, and never a pickle (*.bin, *.pt …) that you do not trust, because loading it can run code"
	reason := NoWeights
	if slices.ContainsFunc(all, func(f File) bool { return IsPickle(f.Path) }) {
		reason = OnlyPickles
	}
	return nil, Refuse(reason, "%s has no *.safetensors file that an engine loads; it has %s; %s", origin, Some(all), never)
}

// Loaded are the files that an engine loads of a model in safetensors form, sorted by
// path: maybe none, and maybe no weights among them.
func Loaded(all []File) []File {
	var out []File
	sharded := slices.ContainsFunc(all, func(f File) bool { return isShard(f.Path) })
	for _, f := range all {
		if wanted(f.Path) && (!sharded || !isConsolidated(f.Path)) {
			out = append(out, f)
		}
	}
	return sorted(out)
}

// GGUFs are the files that llama.cpp could load, sorted by path. Projectors of images
// (mmproj) are no model by themselves.
func GGUFs(all []File) []File {
	var out []File
	for _, f := range all {
		if IsGGUF(f.Path) && !strings.HasPrefix(strings.ToLower(path.Base(f.Path)), "mmproj") {
			out = append(out, f)
		}
	}
	return sorted(out)
}

// PickledWeights are weights as torch pickles them, under the names that transformers writes.
func PickledWeights(all []File) []File {
	var out []File
	for _, f := range all {
		if ok, err := path.Match("pytorch_model*.bin", f.Path); err == nil && ok {
			out = append(out, f)
		}
	}
	return sorted(out)
}

// Find finds a file by its path.
func Find(all []File, name string) (File, bool) {
	for _, f := range all {
		if f.Path == name {
			return f, true
		}
	}
	return File{}, false
}

func sorted(files []File) []File {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files
}

// wanted says whether an engine loads a file with this path.
func wanted(name string) bool {
	folder, base := path.Split(name)
	if folder != "" && !moduleFolder.MatchString(strings.TrimSuffix(folder, "/")) {
		return false
	}
	return slices.ContainsFunc(loaded(), func(p string) bool {
		ok, err := path.Match(p, base)
		return err == nil && ok
	})
}

// isShard says whether a file is weights under the names that transformers writes.
func isShard(name string) bool {
	ok, err := path.Match("model*.safetensors", name)
	return err == nil && ok
}

// isConsolidated says whether a file holds all weights once more, under Mistral's own name.
func isConsolidated(name string) bool {
	ok, err := path.Match("consolidated*.safetensors", name)
	return err == nil && ok
}

// someFiles is how many names a message lists.
const someFiles = 8

// Some lists the largest files, by name, for a message.
func Some(all []File) string {
	if len(all) == 0 {
		return "no file at all"
	}
	big := slices.Clone(all)
	slices.SortFunc(big, func(a, b File) int {
		if a.Size != b.Size {
			return int(max(-1, min(1, b.Size-a.Size)))
		}
		return strings.Compare(a.Path, b.Path)
	})
	more := ""
	if len(big) > someFiles {
		more = fmt.Sprintf(" and %d more", len(big)-someFiles)
		big = big[:someFiles]
	}
	names := make([]string, 0, len(big))
	for _, f := range big {
		names = append(names, f.Path)
	}
	slices.Sort(names)
	return strings.Join(names, ", ") + more
}
