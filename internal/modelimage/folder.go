package modelimage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/licence"
	"kaito.sh/kaito/internal/modelfiles"
	"kaito.sh/kaito/internal/safetensors"
)

// fileName is what a file may be called. Everything else is a trap for whoever
// handles the name later: a shell, a URL, a mount.
var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+=-]{0,199}$`)

// pickle says whether files of this extension can run code when they are loaded.
func pickle(ext string) bool {
	return slices.Contains([]string{".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack"}, ext)
}

// carried says whether engines read files of this extension; others stay behind.
func carried(ext string) bool {
	return slices.Contains([]string{".json", ".safetensors", ".txt", ".model", ".jinja", ".tiktoken", ".md", ".py", ".spm", ".vocab", ".yaml"}, ext)
}

var shardName = regexp.MustCompile(`-\d{5}-of-\d{5}\.safetensors$`)

// folder is a transformers model that was looked through.
type folder struct {
	facts   Facts
	files   []string
	license string
	left    []string
}

// readFolder checks a model in transformers form. Its root keeps every path,
// symbolic links included, within the folder.
func readFolder(root *os.Root) (folder, error) {
	var f folder
	if err := f.list(root); err != nil {
		return f, err
	}
	if !slices.Contains(f.files, "config.json") {
		return f, refuse("", "add the config.json that belongs to these weights, or give the path of one GGUF file",
			"the folder has no config.json, so it is not a model in transformers form")
	}
	raw, err := readSmall(root, "config.json")
	if err != nil {
		return f, err
	}
	if f.facts, err = parseConfig(raw); err != nil {
		return f, refuse("config.json", "take the file from the model's source again", "%v", err)
	}
	if err := f.weights(root); err != nil {
		return f, err
	}
	f.facts.ChatTemplate, err = chatTemplate(root, f.files)
	if err != nil {
		return f, err
	}
	return f, f.findLicense(root)
}

// list sorts the folder's entries into what is carried, what is left, and what is refused.
func (f *folder) list(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return fmt.Errorf("list model: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		info, err := root.Stat(name)
		if err != nil {
			return refuse(name, "copy the model with its links resolved: cp -rL FROM TO",
				"is a link that leads nowhere or out of the folder")
		}
		ext := strings.ToLower(path.Ext(name))
		switch {
		case info.IsDir():
			f.left = append(f.left, name+"/")
		case !info.Mode().IsRegular():
			return refuse(name, "remove it", "is neither a file nor a folder")
		case pickle(ext):
			return refuse(name, "remove it, or convert it to safetensors first", "is a pickle or legacy format, which can run code when it is loaded")
		case !fileName.MatchString(name):
			return refuse(name, "rename it to letters, digits, dots, dashes and underscores", "has a name that we do not carry")
		case isLicense(name):
			if f.license == "" || name == LicenseFile {
				f.license = name
			}
		case carried(ext):
			f.files = append(f.files, name)
		default:
			f.left = append(f.left, name)
		}
	}
	slices.Sort(f.files)
	return nil
}

func isLicense(name string) bool {
	upper := strings.ToUpper(name)
	return strings.HasPrefix(upper, "LICENSE") || strings.HasPrefix(upper, "LICENCE")
}

// weights checks every shard, and that the shards are all there.
func (f *folder) weights(root *os.Root) error {
	shards := map[string]safetensors.Header{}
	byType := map[string]uint64{}
	for _, name := range f.files {
		if path.Ext(name) != ".safetensors" {
			continue
		}
		s, err := readShard(root, name)
		if err != nil {
			return err
		}
		shards[name] = s
	}
	if len(shards) == 0 {
		return refuse("", "add the model's *.safetensors files", "the folder has no weights in safetensors form")
	}
	if err := f.complete(root, shards); err != nil {
		return err
	}
	for _, s := range shards {
		f.facts.Parameters += int64(s.Parameters)
		f.facts.WeightsBytes += int64(s.Bytes)
		for dtype, n := range s.ByType {
			byType[dtype] += n
		}
	}
	if f.facts.Quantization == "" {
		f.facts.Quantization = most(byType)
	}
	if err := checkShape(f.facts); err != nil {
		return refuse("", fetchAgain, "%v", err)
	}
	return nil
}

// most is the type with the most bytes; a tie goes to the first by name.
func most(byType map[string]uint64) string {
	best := ""
	for dtype, n := range byType {
		if best == "" || n > byType[best] || n == byType[best] && dtype < best {
			best = dtype
		}
	}
	return best
}

func readShard(root *os.Root, name string) (safetensors.Header, error) {
	file, err := root.Open(name)
	if err != nil {
		return safetensors.Header{}, fmt.Errorf("open shard: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return safetensors.Header{}, fmt.Errorf("open shard: %w", err)
	}
	if err := refusePointer(file, name); err != nil {
		return safetensors.Header{}, err
	}
	s, err := safetensors.Read(file, info.Size())
	if err != nil {
		return s, refuse(name, fetchAgain, "not a sound safetensors file: %v", err)
	}
	return s, nil
}

// refusePointer refuses what git has left in the place of a large file.
func refusePointer(file io.ReaderAt, name string) error {
	begin := make([]byte, modelfiles.MostPointer)
	n, err := file.ReadAt(begin, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %q: %w", name, err)
	}
	if modelfiles.IsPointer(begin[:n]) {
		return refuse(name, "fetch the file with git lfs pull", "is a pointer of Git LFS and no weights")
	}
	return nil
}

// complete holds the shards against the index, and leaves behind those that it does not name.
func (f *folder) complete(root *os.Root, shards map[string]safetensors.Header) error {
	const index = "model.safetensors.index.json"
	if !slices.Contains(f.files, index) {
		for name := range shards {
			if shardName.MatchString(name) {
				return refuse(name, "add "+index, "is one shard of several, but the folder has no index")
			}
		}
		return nil
	}
	raw, err := readSmall(root, index)
	if err != nil {
		return err
	}
	var list struct {
		Weights map[string]string `json:"weight_map"`
	}
	if err := strictJSON(raw, &list); err != nil {
		return refuse(index, fetchAgain, "%v", err)
	}
	if err := f.covered(list.Weights, shards); err != nil {
		return refuse(index, "fetch the missing files, or the index that belongs to these", "%v", err)
	}
	named := map[string]bool{}
	for _, file := range list.Weights {
		named[file] = true
	}
	for name := range shards {
		if !named[name] {
			delete(shards, name)
			f.files = slices.DeleteFunc(f.files, func(x string) bool { return x == name })
			f.left = append(f.left, name)
		}
	}
	slices.Sort(f.left)
	return nil
}

// covered says the first tensor, by name, that the index promises and no shard has.
func (f *folder) covered(weights map[string]string, shards map[string]safetensors.Header) error {
	if len(weights) == 0 {
		return errors.New("the index names no tensors")
	}
	names := make([]string, 0, len(weights))
	for name := range weights {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s, ok := shards[weights[name]]
		if !ok {
			return fmt.Errorf("tensor %q is in %q, which is not there", name, weights[name])
		}
		if _, ok := s.Tensor(name); !ok {
			return fmt.Errorf("tensor %q should be in %q, but is not", name, weights[name])
		}
	}
	return nil
}

// findLicense takes the id from the model card where there is one: its author wrote it down.
func (f *folder) findLicense(root *os.Root) error {
	if slices.Contains(f.files, "README.md") {
		card, err := readSmall(root, "README.md")
		if err != nil {
			return err
		}
		f.facts.License = licence.OfCard(card)
	}
	return nil
}

// chatTemplate digests the template, from its own file or from the tokenizer's settings.
func chatTemplate(root *os.Root, files []string) (string, error) {
	if slices.Contains(files, "chat_template.jinja") {
		raw, err := readSmall(root, "chat_template.jinja")
		if err != nil {
			return "", err
		}
		return digestOf(string(raw)), nil
	}
	if !slices.Contains(files, "tokenizer_config.json") {
		return "", nil
	}
	raw, err := readSmall(root, "tokenizer_config.json")
	if err != nil {
		return "", err
	}
	var settings struct {
		Template any `json:"chat_template"`
	}
	if err := strictJSON(raw, &settings); err != nil {
		return "", refuse("tokenizer_config.json", "take the file from the model's source again", "%v", err)
	}
	if text, ok := settings.Template.(string); ok {
		return digestOf(text), nil
	}
	return "", nil
}

// readSmall reads a whole text file, within bounds.
func readSmall(root *os.Root, name string) ([]byte, error) {
	file, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	raw, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	if len(raw) > maxConfig {
		return nil, refuse(name, "", "has more than %d bytes", maxConfig)
	}
	return raw, nil
}
