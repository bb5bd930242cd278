package adapter

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/safetensors"
)

// Check reads the adapter in a folder. What is wrong with it is an UnusableError; other
// errors are of the disk.
func Check(dir string) (Facts, error) {
	a, err := open(dir)
	if err != nil {
		return Facts{}, err
	}
	defer a.close()
	return a.facts, nil
}

// opened is an adapter whose two files are open and checked.
type opened struct {
	facts   Facts
	raw     []byte
	weights *os.File
	size    int64
}

func (a *opened) close() { _ = a.weights.Close() }

// open opens and checks the files of a folder, and no others.
func open(dir string) (*opened, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, unusable("", "there is no folder %q", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open adapter: %w", err)
	}
	defer func() { _ = root.Close() }()
	file, size, err := regular(root, ConfigFile, maxConfig)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(file, size))
	_ = file.Close()
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", ConfigFile, err)
	}
	a := &opened{raw: raw}
	if a.weights, a.size, err = regular(root, WeightsFile, MaxBytes); err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// regular opens a plain file of at most limit bytes. A link could lead anywhere, so it
// is not followed, not even within the folder. In a mounted volume whose files are links
// (a ConfigMap) there is no adapter.
func regular(root *os.Root, name string, limit int64) (*os.File, int64, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, unusable(name, "is not there; an adapter is %s and %s, as PEFT saves them", ConfigFile, WeightsFile)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("look at %q: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, unusable(name, "is a link, a folder or a device, not a plain file")
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("open %q: %w", name, err)
	}
	now, err := file.Stat()
	switch {
	case err == nil && !os.SameFile(info, now):
		err = unusable(name, "changed while it was opened")
	case err == nil && now.Size() > limit:
		err = unusable(name, "has %d bytes, at most %d make sense", now.Size(), limit)
	}
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, now.Size(), nil
}

// check fills in the facts.
func (a *opened) check() error {
	c, err := parseConfig(a.raw)
	if err != nil {
		return err
	}
	head, err := safetensors.Read(a.weights, a.size)
	if err != nil {
		return unusable(WeightsFile, "is not a sound safetensors file: %v", err)
	}
	if a.facts, err = factsOf(c, head); err != nil {
		return err
	}
	sum := sha256.New()
	sum.Write(a.raw)
	if _, err := io.Copy(sum, io.NewSectionReader(a.weights, 0, a.size)); err != nil {
		return fmt.Errorf("read %q: %w", WeightsFile, err)
	}
	a.facts.Digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return nil
}

// pair are the two halves of what is added to one weight.
type pair struct{ down, up *safetensors.Tensor }

// factsOf compares the configuration with the tensors.
func factsOf(c config, head safetensors.Header) (Facts, error) {
	f := Facts{
		Base: c.Base, Revision: c.Revision, Alpha: *c.Alpha, RankStabilized: c.RSLoRA, DoRA: c.DoRA, Init: c.init(),
		Patterned: len(c.RankPattern)+len(c.AlphaPattern) > 0,
		Tensors:   len(head.Tensors), Parameters: int64(head.Parameters), Bytes: int64(head.Bytes),
	}
	pairs := map[string]*pair{}
	for _, t := range head.Tensors {
		if !slices.Contains([]string{"F16", "BF16", "F32", "F64"}, t.Dtype) {
			return Facts{}, unusable(WeightsFile, "tensor %q is of type %s; weights of an adapter are F16, BF16 or F32", t.Name, t.Dtype)
		}
		if !add(pairs, t) {
			if err := c.expects(t.Name); err != nil {
				return Facts{}, err
			}
			if !strings.Contains(t.Name, "lora_magnitude_vector") {
				f.Other = append(f.Other, t.Name)
			}
		}
	}
	if len(pairs) == 0 {
		return Facts{}, unusable(WeightsFile, "holds no LoRA weights")
	}
	for _, module := range sortedKeys(pairs) {
		rank, err := pairs[module].rank(module, c.ranks())
		if err != nil {
			return Facts{}, err
		}
		f.Rank = max(f.Rank, rank)
		f.TargetModules = append(f.TargetModules, module[strings.LastIndex(module, ".")+1:])
	}
	slices.Sort(f.TargetModules)
	f.TargetModules = slices.Compact(f.TargetModules)
	return f, nil
}

// add takes a tensor that is half of a pair, and says false of any other.
func add(pairs map[string]*pair, t safetensors.Tensor) bool {
	for _, half := range []struct {
		mark string
		down bool
	}{{".lora_A.weight", true}, {".lora_B.weight", false}, {".lora_embedding_A", true}, {".lora_embedding_B", false}} {
		module, ok := strings.CutSuffix(t.Name, half.mark)
		if !ok {
			continue
		}
		p := pairs[module]
		if p == nil {
			p = &pair{}
			pairs[module] = p
		}
		if half.down {
			p.down = &t
		} else {
			p.up = &t
		}
		return true
	}
	return false
}

// expects says whether the configuration announces a tensor that is no half of a pair.
func (c config) expects(name string) error {
	switch {
	case strings.HasSuffix(name, ".lora_magnitude_vector"), strings.HasSuffix(name, ".lora_magnitude_vector.weight"):
		if c.DoRA {
			return nil
		}
	case strings.HasSuffix(name, ".bias"):
		if c.Bias != "" && c.Bias != "none" || strings.HasSuffix(name, ".lora_B.bias") {
			return nil
		}
	case strings.Contains(name, ".trainable_tokens_"), strings.Contains(name, ".token_adapter."):
		if set(c.Tokens) {
			return nil
		}
	}
	for _, part := range strings.Split(name, ".") {
		// PEFT saves the embeddings uninvited where they are tuned or were resized.
		if slices.Contains(c.Saved, part) || part == "embed_tokens" || part == "lm_head" {
			return nil
		}
	}
	return unusable(WeightsFile, "holds the tensor %q, which is no LoRA weight and which %s does not announce", name, ConfigFile)
}

// rank is the inner dimension of a pair.
func (p pair) rank(module string, allowed []uint64) (int, error) {
	switch {
	case p.down == nil || p.up == nil:
		return 0, unusable(WeightsFile, "holds only one half of the weights for %q", module)
	case len(p.down.Shape) < 2 || len(p.up.Shape) < 2:
		return 0, unusable(WeightsFile, "the weights for %q have the shapes %v and %v, not those of a pair", module, p.down.Shape, p.up.Shape)
	case p.down.Shape[0] != p.up.Shape[1]:
		return 0, unusable(WeightsFile, "the weights for %q have the ranks %d and %d", module, p.down.Shape[0], p.up.Shape[1])
	case !slices.Contains(allowed, p.down.Shape[0]):
		return 0, unusable(WeightsFile, "the weights for %q have the rank %d, %s says %v", module, p.down.Shape[0], ConfigFile, allowed)
	}
	return int(p.down.Shape[0]), nil
}
