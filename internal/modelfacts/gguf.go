package modelfacts

import (
	"context"
	"errors"
	"fmt"
	"path"

	"kaito.sh/kaito/internal/gguf"
	"kaito.sh/kaito/internal/licence"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/modelfiles"
)

// maxGGUF is the longest header of a GGUF file that we read: the words of a large vocabulary
// and their merges are below 32 MB.
const maxGGUF = 128 << 20

// gguf reads a model in the form of llama.cpp.
func (r *reading) gguf(ctx context.Context) error {
	f := r.chosen
	in := &prefix{ctx: ctx, files: r.Files, name: f.Path, size: f.Size, most: maxGGUF}
	g, err := gguf.Read(in, f.Size)
	var wrong *gguf.Error
	var other *gguf.NotModelError
	switch {
	case in.err != nil:
		return fmt.Errorf("read %s of %s: %w", f.Path, r.Origin, in.err)
	case errors.As(err, &wrong), errors.As(err, &other):
		return modelfiles.Refuse(modelfiles.Broken, "%s of %s is no GGUF file that llama.cpp would load: %v; fetch it again and compare its checksum with the source's", f.Path, r.Origin, err)
	case err != nil:
		return modelfiles.Refuse(modelfiles.Broken, "%s of %s cannot be read: %v", f.Path, r.Origin, err)
	}
	m, err := ggufModel(f.Path, g)
	if err != nil {
		return err
	}
	m.Forms = map[model.Form]model.Weights{model.FormGGUF: {Size: model.Bytes(f.Size), File: path.Base(f.Path)}}
	m.Licence = licence.Of(g.Licence)
	m.Redistributable = licence.Redistributable(m.Licence)
	if m.Context == 0 {
		return broken(f.Path, "does not say how long its context is")
	}
	r.note("quantised as %s", g.Quantisation)
	r.facts.Model, r.facts.ChatTemplate = m, g.ChatTemplate != ""
	return nil
}

// ggufModel is what a header means for a planner. It refuses numbers that no model has.
func ggufModel(name string, g gguf.Facts) (model.Model, error) {
	var m model.Model
	width := (g.KeyWidth + g.ValueWidth + 1) / 2 // half of a key and a value together
	for _, n := range []struct {
		what        string
		value, most int64
		into        *int
	}{
		{"context", g.Context, model.MostContext, &m.Context},
		{"layers", g.Layers, model.MostSmall, &m.Layers},
		{"heads", g.Heads, model.MostSmall, &m.Heads},
		{"key-value heads", g.KVHeads, model.MostSmall, &m.KVHeads},
		{"width of a head", width, model.MostSmall, &m.HeadDim},
		{"hidden size", g.Hidden, model.MostHidden, &m.Hidden},
		{"width of a block", g.MLP, model.MostHidden, &m.MLP},
		{"vocabulary", g.Vocabulary, model.MostVocabulary, &m.Vocabulary},
		{"experts", g.Experts, model.MostHidden, &m.Experts},
		{"experts of a token", g.ExpertsPerToken, model.MostHidden, &m.ExpertsPerToken},
	} {
		if n.value < 0 || n.value > n.most {
			return m, broken(name, "cannot be right: its %s is %d, and only 0 to %d make sense", n.what, n.value, n.most)
		}
		*n.into = int(n.value)
	}
	if g.Parameters < 0 || g.Parameters > model.MostParameters {
		return m, broken(name, "cannot be right: it has %d parameters, and at most %d make sense", g.Parameters, int64(model.MostParameters))
	}
	if m.Heads > 0 && m.KVHeads > 0 && m.Heads%m.KVHeads != 0 {
		return m, broken(name, "cannot be right: %d heads cannot share %d key-value heads evenly", m.Heads, m.KVHeads)
	}
	m.Parameters, m.TiedEmbeddings = g.Parameters, g.TiedEmbeddings
	m.Attention = ggufAttention(m, g)
	return m, nil
}

func ggufAttention(m model.Model, g gguf.Facts) model.Attention {
	layers := int64(m.Layers)
	switch {
	case g.Hybrid && g.AttendingLayers < layers:
		return model.Attention{Kind: model.AttentionHybrid, Layers: int(max(0, g.AttendingLayers))}
	case g.Hybrid:
		return model.Attention{Kind: model.AttentionHybrid}
	case g.WindowLayers > 0 && g.WindowLayers <= layers && g.Window > 0 && g.Window < int64(m.Context):
		return model.Attention{Kind: model.AttentionSliding, Window: int(g.Window), WindowLayers: int(g.WindowLayers)}
	}
	return model.Attention{}
}
