package modelfacts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/modelfiles"
	"kaito.sh/kaito/internal/safetensors"
)

const (
	// maxHeader is the longest header of a shard that we read: those of published models are
	// below 2 MB.
	maxHeader = 16 << 20
	// maxHeaders is how many shards are looked into; of models with more the size is known
	// by the list of files.
	maxHeaders = 256
	// atOnce is how many requests run beside each other.
	atOnce = 6
	// index says which shard holds which tensor.
	index = "model.safetensors.index.json"
)

// safetensors reads a model in the form of transformers, or in Mistral's.
func (r *reading) safetensors(ctx context.Context) error {
	c, err := r.configuration(ctx)
	if err != nil {
		return err
	}
	shards, err := r.shards(ctx)
	if err != nil {
		return err
	}
	m := c.model
	m.Architectures, m.RemoteCode = c.architectures, c.remoteCode
	if m.Context == 0 {
		// What vLLM assumes then (config/model.py, _get_and_verify_max_len).
		const assumed = 2048
		m.Context = assumed
		r.note("no file says how long the context is: vLLM takes %d tokens", assumed)
	}
	var size int64
	for _, f := range shards {
		size += f.Size
	}
	m.Forms = map[model.Form]model.Weights{model.FormHF: {Size: model.Bytes(size)}}
	if m.Quantisation == "" {
		if m.Parameters, err = r.parameters(ctx, shards); err != nil {
			return err
		}
	} else if _, err := r.parameters(ctx, shards); err != nil { // the headers are checked all the same
		return err
	}
	r.facts.Dtype = c.dtype
	r.facts.Model = m
	r.facts.ChatTemplate, err = r.template(ctx)
	return err
}

// configuration reads config.json, or Mistral's params.json where there is none.
func (r *reading) configuration(ctx context.Context) (hfConfig, error) {
	raw, ok, err := r.small(ctx, "config.json", maxConfig)
	if err != nil {
		return hfConfig{}, err
	}
	if ok {
		c, err := config(raw)
		if err != nil || c.model.Quantisation != "" {
			return c, err
		}
		return r.separately(ctx, c)
	}
	raw, ok, err = r.small(ctx, "params.json", maxConfig)
	switch {
	case err != nil:
		return hfConfig{}, err
	case ok:
		return params(raw)
	}
	return hfConfig{}, modelfiles.Refuse(modelfiles.Broken, "%s has %v, so nothing says what its weights are; it has %s", r.Origin, errNoConfig, modelfiles.Some(r.All))
}

// separately reads the method of quantisation that NVIDIA's tool writes into a file of its own.
func (r *reading) separately(ctx context.Context, c hfConfig) (hfConfig, error) {
	const name = "hf_quant_config.json"
	raw, ok, err := r.small(ctx, name, maxConfig)
	if err != nil || !ok {
		return c, err
	}
	q, err := parse(name, raw)
	if err != nil {
		return c, err
	}
	c.model.Quantisation, c.model.QuantisationBits = quantisation(q)
	return c, q.err()
}

// shards are the files with weights that an engine loads: of several those that the index
// names (vLLM 0.33, weight_utils.py, filter_duplicate_safetensors_files).
func (r *reading) shards(ctx context.Context) ([]modelfiles.File, error) {
	var all []modelfiles.File
	for _, f := range r.facts.Files {
		if modelfiles.IsSafetensors(f.Path) && !strings.Contains(f.Path, "/") {
			all = append(all, f)
		}
	}
	if len(all) == 0 { // pickles that were allowed, or weights in a module's folder only
		return slices.DeleteFunc(slices.Clone(r.facts.Files), func(f modelfiles.File) bool {
			return !modelfiles.IsPickle(f.Path) && !modelfiles.IsSafetensors(f.Path)
		}), nil
	}
	raw, ok, err := r.small(ctx, index, maxIndex)
	if err != nil || !ok {
		return all, err
	}
	named, err := indexed(raw)
	if err != nil {
		return nil, broken(index, "%v", err)
	}
	if len(all) == 1 && !slices.Contains(named, all[0].Path) {
		return all, nil // the shards were merged, and their index stayed
	}
	for _, name := range named {
		if _, there := modelfiles.Find(all, name); !there {
			return nil, modelfiles.Refuse(modelfiles.Broken, "%s of %s names %q, which is not there; fetch the missing file, or the index that belongs to the others", index, r.Origin, name)
		}
	}
	return slices.DeleteFunc(all, func(f modelfiles.File) bool { return !slices.Contains(named, f.Path) }), nil
}

// indexed are the files that an index names, sorted. It is read word by word: some have a
// hundred thousand tensors.
func indexed(raw []byte) ([]string, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	var list struct {
		Map fileNames `json:"weight_map"`
	}
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("is no index of tensors: %w", err)
	}
	if len(list.Map.names) == 0 {
		return nil, errors.New("names no tensors")
	}
	return slices.Sorted(keysOfSet(list.Map.names)), nil
}

// fileNames are the values of an object, each once.
type fileNames struct{ names map[string]struct{} }

// UnmarshalJSON reads {"tensor": "file"}.
func (n *fileNames) UnmarshalJSON(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return errors.New("weight_map is no object")
	}
	n.names = map[string]struct{}{}
	for d.More() {
		if _, err := d.Token(); err != nil {
			return err
		}
		value, err := d.Token()
		if err != nil {
			return err
		}
		name, ok := value.(string)
		if !ok {
			return fmt.Errorf("weight_map holds %v, not the name of a file", value)
		}
		n.names[name] = struct{}{}
	}
	return nil
}

// parameters counts the values of all tensors by the headers of the shards, each of which must
// describe the whole file.
func (r *reading) parameters(ctx context.Context, shards []modelfiles.File) (int64, error) {
	if len(shards) > maxHeaders {
		r.note("the parameters were not counted: the weights are in %d files", len(shards))
		return 0, nil
	}
	var mu sync.Mutex
	var total int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, f := range shards {
		if !modelfiles.IsSafetensors(f.Path) {
			continue
		}
		group.Go(func() error {
			n, err := r.shard(ctx, f)
			mu.Lock()
			defer mu.Unlock()
			total += n
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	if total > model.MostParameters {
		return 0, modelfiles.Refuse(modelfiles.Broken, "The weights of %s claim %d parameters, and at most %d make sense", r.Origin, total, int64(model.MostParameters))
	}
	return total, nil
}

// shard reads the header of one file.
func (r *reading) shard(ctx context.Context, f modelfiles.File) (int64, error) {
	in := &prefix{ctx: ctx, files: r.Files, name: f.Path, size: f.Size, most: maxHeader}
	h, err := safetensors.Read(in, f.Size)
	switch {
	case in.err != nil:
		return 0, fmt.Errorf("read %s of %s: %w", f.Path, r.Origin, in.err)
	case err != nil:
		return 0, modelfiles.Refuse(modelfiles.Broken, "%s of %s is no sound safetensors file: %v; fetch it again and compare its checksum with the source's", f.Path, r.Origin, err)
	case h.Parameters > model.MostParameters:
		return 0, modelfiles.Refuse(modelfiles.Broken, "%s of %s claims %d parameters, and at most %d make sense", f.Path, r.Origin, h.Parameters, int64(model.MostParameters))
	}
	return int64(h.Parameters), nil
}

// template says whether the files have a chat template.
func (r *reading) template(ctx context.Context) (bool, error) {
	for _, f := range r.facts.Files {
		if f.Path == "chat_template.jinja" || f.Path == "chat_template.json" {
			return true, nil
		}
	}
	if f, ok := modelfiles.Find(r.All, "tokenizer_config.json"); !ok || f.Size > maxTokenizer {
		return false, nil
	}
	raw, _, err := r.small(ctx, "tokenizer_config.json", maxTokenizer)
	if err != nil {
		return false, err
	}
	settings, err := parse("tokenizer_config.json", raw)
	return err == nil && settings.has("chat_template"), nil //nolint:nilerr // an engine says better what is wrong with a tokenizer
}

// prefix reads a file from its beginning, in pieces that grow: most headers are in the first.
type prefix struct {
	ctx   context.Context
	files Files
	name  string
	size  int64
	most  int64
	at    int64
	piece []byte
	// err is what went wrong outside of the file.
	err error
}

// The first piece, and the largest.
const (
	firstPiece = 256 << 10
	largePiece = 4 << 20
)

// Read gives what is there, and asks for the next piece.
func (p *prefix) Read(b []byte) (int, error) {
	if len(p.piece) == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.piece)
	p.piece = p.piece[n:]
	return n, nil
}

func (p *prefix) next() error {
	n := min(p.size-p.at, max(firstPiece, min(p.at, largePiece)))
	switch {
	case n <= 0:
		return io.EOF
	case p.at >= p.most:
		return fmt.Errorf("its header has more than %d bytes, which no model needs", p.most)
	}
	p.piece, p.err = p.files.Range(p.ctx, p.name, p.at, n)
	if p.err != nil {
		return p.err
	}
	if int64(len(p.piece)) < n {
		return io.ErrUnexpectedEOF
	}
	p.at += n
	return nil
}
