package hub

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/runner/ending"
	"kaito.sh/kaito/internal/runner/fetch"
)

// What an engine loads: weights, configuration, tokenizer and chat template.
func loaded() []string {
	return []string{"*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken"}
}

// moduleFolder is a folder whose configuration an engine reads too: further chat
// templates, and the modules of an embedding model (1_Pooling, 2_Dense …). Others hold
// the same weights for other programs (original, onnx, openvino, metal, coreml …).
var moduleFolder = regexp.MustCompile(`^(additional_chat_templates|[0-9]+_[A-Za-z]+)$`)

// pickles are the endings of files that can run code when they are loaded.
func pickles() []string {
	return []string{".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".joblib", ".npy", ".npz"}
}

// isPickle says whether loading the file could run code.
func isPickle(name string) bool {
	return slices.Contains(pickles(), strings.ToLower(path.Ext(name)))
}

// choose picks the files that are fetched, sorted by path: those that the patterns
// name, or without patterns those that an engine loads. It never picks a pickle,
// unless a pattern asks for that ending by name.
func (s *Source) choose(origin string, all []file) ([]file, error) {
	var out []file
	var err error
	if len(s.Patterns) > 0 {
		out, err = s.named(origin, all)
	} else {
		out, err = usual(origin, all)
	}
	slices.SortFunc(out, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return out, err
}

// named picks what patterns ask for; each must find something, unless the source is lenient.
func (s *Source) named(origin string, all []file) ([]file, error) {
	found := map[string]file{}
	for _, p := range s.Patterns {
		hits := 0
		for _, f := range all {
			if ok, err := path.Match(p, f.path); err != nil || !ok || isPickle(f.path) && !isPickle(p) {
				continue
			}
			hits++
			found[f.path] = f
		}
		if hits == 0 && !s.Lenient {
			return nil, &fetch.Error{Reason: ending.WeightsNotFound, Message: fmt.Sprintf(
				"No file of %s is called %q; it has %s", origin, p, some(all))}
		}
	}
	var out []file
	for _, f := range found {
		out = append(out, f)
	}
	return out, nil
}

// usual picks what an engine loads.
func usual(origin string, all []file) ([]file, error) {
	var out []file
	weights := false
	sharded := slices.ContainsFunc(all, func(f file) bool { return isShard(f.path) })
	for _, f := range all {
		if !wanted(f.path) || sharded && isConsolidated(f.path) {
			continue
		}
		weights = weights || path.Ext(f.path) == ".safetensors"
		out = append(out, f)
	}
	if !weights {
		return nil, fetch.Unusable("%s has no *.safetensors file that an engine loads; it has %s; name the files to fetch, "+
			"and never a pickle (*.bin, *.pt …) that you do not trust, because loading it can run code", origin, some(all))
	}
	return out, nil
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

// some lists the largest files, by name.
func some(all []file) string {
	if len(all) == 0 {
		return "no file at all"
	}
	big := slices.Clone(all)
	slices.SortFunc(big, func(a, b file) int {
		if a.size != b.size {
			return int(max(-1, min(1, b.size-a.size)))
		}
		return strings.Compare(a.path, b.path)
	})
	more := ""
	if len(big) > someFiles {
		more = fmt.Sprintf(" and %d more", len(big)-someFiles)
		big = big[:someFiles]
	}
	names := make([]string, 0, len(big))
	for _, f := range big {
		names = append(names, f.path)
	}
	slices.Sort(names)
	return strings.Join(names, ", ") + more
}
