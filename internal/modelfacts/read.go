// Package modelfacts reads what a model is from its files, without loading it: from
// config.json or params.json, from the headers of safetensors and GGUF files, and from the
// model card. Files come from strangers: what is wrong is refused by file and field, what is
// not said is left out, and the planner bounds it from above.
package modelfacts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"kaito.sh/kaito/internal/licence"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/modelfiles"
)

// Files is where the files of a model are.
type Files interface {
	// Range reads at most n bytes of a file from a byte on: fewer where it ends before.
	Range(ctx context.Context, name string, from, n int64) ([]byte, error)
}

// Options say what to read.
type Options struct {
	// Origin is what messages call the model: "owner/name at 0123… of huggingface.co", a folder.
	Origin string
	// All are the files that there are.
	All []modelfiles.File
	// Files reads them.
	Files Files
	// File is the GGUF to take, where there are several; empty takes safetensors, or the only GGUF.
	File string
	// AllowPickles takes weights as torch pickles them, where there are no others. Loading
	// them can run code.
	AllowPickles bool
}

// Facts is what the files say.
type Facts struct {
	// Model has no ID, no HubID, and no place on a hub: those are the caller's to know.
	Model model.Model
	// Absent are the facts that no file says, by the words of a catalog file, sorted.
	Absent []string
	// Notes are what a person should know besides, sorted.
	Notes []string
	// Dtype is the type of numbers that the publisher computed in: bfloat16.
	Dtype string
	// ChatTemplate is true where the files have one.
	ChatTemplate bool
	// Files are those that an engine loads.
	Files []modelfiles.File
}

// Bounds of the files that are read whole.
const (
	maxConfig    = 4 << 20
	maxIndex     = 32 << 20
	maxTokenizer = 8 << 20
	maxCard      = 64 << 10
)

// Read reads the facts of a model. The error is a *modelfiles.Refusal where the files are
// wrong, and that of Options.Files where they could not be read.
func Read(ctx context.Context, o Options) (Facts, error) {
	r := &reading{Options: o}
	form, err := r.form()
	if err != nil {
		return Facts{}, err
	}
	if err := r.pointers(ctx); err != nil {
		return Facts{}, err
	}
	read := r.safetensors
	if form == model.FormGGUF {
		read = r.gguf
	}
	if err := cmp.Or(read(ctx), r.card(ctx)); err != nil {
		return Facts{}, err
	}
	if err := r.check(); err != nil {
		return Facts{}, err
	}
	r.facts.Absent = absent(r.facts.Model)
	slices.Sort(r.facts.Notes)
	return r.facts, nil
}

// reading is one run of Read.
type reading struct {
	Options
	facts Facts
	// gguf file that was chosen.
	chosen modelfiles.File
}

func (r *reading) note(format string, args ...any) {
	r.facts.Notes = append(r.facts.Notes, fmt.Sprintf(format, args...))
}

// form chooses what to read.
func (r *reading) form() (model.Form, error) {
	ggufs := slices.DeleteFunc(modelfiles.GGUFs(r.All), func(f modelfiles.File) bool { return strings.Contains(f.Path, "/") })
	if r.File != "" {
		found, ok := modelfiles.Find(ggufs, r.File)
		if !ok {
			return "", modelfiles.Refuse(modelfiles.NoMatch, "No GGUF file of %s is called %q; it has %s", r.Origin, r.File, modelfiles.Some(r.All))
		}
		return r.take(found)
	}
	files, err := modelfiles.Usual(r.Origin, r.All)
	if err == nil {
		r.facts.Files = files
		return model.FormHF, nil
	}
	switch {
	case len(ggufs) == 1:
		return r.take(ggufs[0])
	case len(ggufs) > 1:
		return "", modelfiles.Refuse(modelfiles.Ambiguous, "%s has %d GGUF files, of which one must be named: %s", r.Origin, len(ggufs), modelfiles.Some(ggufs))
	}
	if pickles := modelfiles.PickledWeights(r.All); r.AllowPickles && len(pickles) > 0 {
		r.facts.Files = slices.Concat(modelfiles.Loaded(r.All), pickles)
		r.note("the weights are pickles, and loading them can run code")
		return model.FormHF, nil
	}
	return "", r.noWeights(err)
}

// noWeights says in the words of this room that there is nothing to load.
func (r *reading) noWeights(err error) error {
	var refused *modelfiles.Refusal
	switch {
	case !errors.As(err, &refused):
		return err
	case refused.Reason == modelfiles.OnlyPickles:
		return modelfiles.Refuse(refused.Reason, "%s has no *.safetensors and no GGUF file that an engine loads, but pickles, loading which can run code; it has %s", r.Origin, modelfiles.Some(r.All))
	}
	return modelfiles.Refuse(refused.Reason, "%s has no weights, which are *.safetensors files beside a config.json, or one *.gguf; it has %s", r.Origin, modelfiles.Some(r.All))
}

// pointers refuses files that were not fetched: git leaves a pointer of a few lines in their place.
func (r *reading) pointers(ctx context.Context) error {
	var names []string
	for _, f := range r.facts.Files {
		if f.Size > modelfiles.MostPointer || !modelfiles.IsSafetensors(f.Path) && !modelfiles.IsGGUF(f.Path) && !modelfiles.IsPickle(f.Path) {
			continue
		}
		begin, err := r.Files.Range(ctx, f.Path, 0, f.Size)
		if err != nil {
			return fmt.Errorf("read %s of %s: %w", f.Path, r.Origin, err)
		}
		if modelfiles.IsPointer(begin) {
			names = append(names, f.Path)
		}
	}
	const few = 3
	more := ""
	if len(names) > few {
		more = fmt.Sprintf(" and %d more", len(names)-few)
		names = names[:few]
	}
	if len(names) == 0 {
		return nil
	}
	return modelfiles.Refuse(modelfiles.Broken, "%s%s of %s: a pointer of Git LFS stands where weights should; fetch them with git lfs pull", strings.Join(names, ", "), more, r.Origin)
}

// part matches one part of a model that gguf-split cut into several files.
var part = regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`)

func (r *reading) take(f modelfiles.File) (model.Form, error) {
	if part.MatchString(f.Path) {
		return "", modelfiles.Refuse(modelfiles.Ambiguous,
			"%q of %s is one part of a split model; join the parts first: llama-gguf-split --merge FIRST-PART OUT.gguf", f.Path, r.Origin)
	}
	r.chosen, r.facts.Files = f, []modelfiles.File{f}
	return model.FormGGUF, nil
}

// small reads a whole file, within bounds; false where there is none.
func (r *reading) small(ctx context.Context, name string, most int64) ([]byte, bool, error) {
	f, ok := modelfiles.Find(r.All, name)
	if !ok {
		return nil, false, nil
	}
	if f.Size > most {
		return nil, true, broken(name, "has %d bytes, and at most %d make sense", f.Size, most)
	}
	if f.Size == 0 {
		return nil, true, nil
	}
	raw, err := r.Files.Range(ctx, name, 0, f.Size)
	if err != nil {
		return nil, true, fmt.Errorf("read %s of %s: %w", name, r.Origin, err)
	}
	if int64(len(raw)) != f.Size {
		return nil, true, broken(name, "has %d bytes and was listed with %d", len(raw), f.Size)
	}
	return raw, true, nil
}

// card takes the licence from the model card, where its author wrote it down.
func (r *reading) card(ctx context.Context) error {
	f, ok := modelfiles.Find(r.All, "README.md")
	if !ok || f.Size == 0 {
		return nil
	}
	raw, err := r.Files.Range(ctx, f.Path, 0, min(f.Size, maxCard))
	if err != nil {
		return fmt.Errorf("read %s of %s: %w", f.Path, r.Origin, err)
	}
	if said := licence.OfCard(raw); said != "" {
		r.facts.Model.Licence = said
		r.facts.Model.Redistributable = licence.Redistributable(said)
	}
	return nil
}

// check refuses numbers that contradict each other, so that a catalog would take the model.
func (r *reading) check() error {
	m := r.facts.Model
	var size model.Bytes
	for _, w := range m.Forms {
		size = w.Size
	}
	const perByte, widest = 8, 8
	switch {
	case size < 1 || size > model.MostBytes:
		return modelfiles.Refuse(modelfiles.Broken, "The weights of %s have %d bytes, and only 1 to %d make sense", r.Origin, size, int64(model.MostBytes))
	case m.Parameters > 0 && (int64(size) < m.Parameters/perByte || int64(size)/widest > m.Parameters):
		return modelfiles.Refuse(modelfiles.Broken, "The weights of %s have %d bytes for %d parameters; take its files from the model's source again", r.Origin, size, m.Parameters)
	case m.ExpertsPerToken > m.Experts:
		return modelfiles.Refuse(modelfiles.Broken, "The configuration of %s lets a token use %d of %d experts; take the file from the model's source again", r.Origin, m.ExpertsPerToken, m.Experts)
	}
	return nil
}

// absent are the facts that the planner bounds or does without.
func absent(m model.Model) []string {
	var out []string
	for name, known := range map[string]bool{
		"layers": m.Layers > 0, "heads": m.Heads > 0, "kvHeads": m.KVHeads > 0,
		"headDim": m.HeadDim > 0 || m.Attention.Kind == model.AttentionLatent,
		"hidden":  m.Hidden > 0, "vocabulary": m.Vocabulary > 0, "parameters": m.Parameters > 0, "licence": m.Licence != "",
		"attention.windowLayers": m.Attention.Kind != model.AttentionSliding || m.Attention.WindowLayers > 0,
		"attention.layers":       m.Attention.Kind != model.AttentionHybrid || m.Attention.Layers > 0,
		"attention.stateBytes":   m.Attention.Kind != model.AttentionHybrid || m.Attention.State > 0,
		"attention.indexBytes":   !m.Attention.Indexed || m.Attention.IndexBytes > 0,
	} {
		if !known {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// errNoConfig says which file is missing.
var errNoConfig = errors.New("no config.json and no params.json")
