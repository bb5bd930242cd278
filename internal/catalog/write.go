package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"kaito.sh/kaito/internal/model"
)

// LicenceUnstated stands where a publisher states no licence, and a file needs one.
const LicenceUnstated = "not stated"

// Page is a catalog file to write.
type Page struct {
	// Model is what the file is of.
	Model model.Model
	// Source says where its facts come from.
	Source string
	// Comments stand at the head of the file, one paragraph each.
	Comments []string
}

// Write writes a catalog file as people write them: the same order, what is not known left
// out. Parse reads the same model from it, or it is an error.
func Write(p Page) ([]byte, error) {
	w := &writer{}
	for _, c := range p.Comments {
		w.comment(c)
	}
	w.folded("source", p.Source)
	w.names(p.Model)
	w.shape(p.Model)
	w.attention(p.Model.Attention)
	w.serving(p.Model)
	w.line(0, "forms:")
	for _, form := range []model.Form{model.FormGGUF, model.FormHF} {
		if weights, ok := p.Model.Forms[form]; ok {
			w.form(string(form), weights)
		}
	}
	if _, err := Parse([]byte(w.String())); err != nil {
		return nil, fmt.Errorf("write model %q as a catalog file: %w", p.Model.ID, err)
	}
	return []byte(w.String()), nil
}

// writer writes YAML.
type writer struct{ strings.Builder }

// width is where lines of text are broken.
const width = 120

func (w *writer) line(indent int, format string, args ...any) {
	w.WriteString(strings.Repeat(" ", indent) + fmt.Sprintf(format, args...) + "\n")
}

// comment writes a paragraph of words.
func (w *writer) comment(text string) { w.wrapped("# ", text) }

// folded writes a text over several lines.
func (w *writer) folded(key, text string) {
	if text == "" {
		return
	}
	w.line(0, "%s: >-", key)
	w.wrapped("  ", text)
}

// wrapped writes words after a margin. What is not printed becomes a space.
func (w *writer) wrapped(margin, text string) {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(margin)+len(line)+1+len(word) > width {
			w.line(0, "%s%s", margin, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	w.line(0, "%s%s", margin, line)
}

// plain is a text that YAML takes for that text as it stands.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)

// scalar is a text as YAML has it; a text in quotes of JSON is one of YAML's too.
func scalar(text string) string {
	words := []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
	if plain.MatchString(text) && !slices.Contains(words, strings.ToLower(text)) {
		return text
	}
	raw, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(raw)
}

func list(texts []string) string {
	var out []string
	for _, t := range texts {
		out = append(out, scalar(t))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func (w *writer) text(indent int, key, value string) {
	if value != "" {
		w.line(indent, "%s: %s", key, scalar(value))
	}
}

func (w *writer) number(indent int, key string, value int64) {
	if value != 0 {
		w.line(indent, "%s: %d", key, value)
	}
}

func (w *writer) flag(indent int, key string, value bool) {
	if value {
		w.line(indent, "%s: true", key)
	}
}

func (w *writer) texts(indent int, key string, values []string) {
	if len(values) > 0 {
		w.line(indent, "%s: %s", key, list(values))
	}
}

func (w *writer) names(m model.Model) {
	w.text(0, "id", m.ID)
	w.text(0, "hubID", m.HubID)
	w.texts(0, "aliases", m.Aliases)
	w.text(0, "licence", m.Licence)
	w.flag(0, "redistributable", m.Redistributable)
	w.flag(0, "gated", m.Gated)
}

func (w *writer) shape(m model.Model) {
	for _, n := range []struct {
		key   string
		value int64
	}{
		{"parameters", m.Parameters},
		{"context", int64(m.Context)},
		{"layers", int64(m.Layers)},
		{"heads", int64(m.Heads)},
		{"kvHeads", int64(m.KVHeads)},
		{"headDim", int64(m.HeadDim)},
		{"hidden", int64(m.Hidden)},
		{"mlp", int64(m.MLP)},
		{"vocabulary", int64(m.Vocabulary)},
		{"experts", int64(m.Experts)},
		{"expertsPerToken", int64(m.ExpertsPerToken)},
	} {
		w.number(0, n.key, n.value)
	}
	w.flag(0, "tiedEmbeddings", m.TiedEmbeddings)
}

func (w *writer) attention(a model.Attention) {
	if a == (model.Attention{}) {
		return
	}
	w.line(0, "attention:")
	w.text(2, "kind", string(a.Kind))
	for _, n := range []struct {
		key   string
		value int64
	}{
		{"latent", int64(a.Latent)},
		{"rope", int64(a.Rope)},
		{"window", int64(a.Window)},
		{"windowLayers", int64(a.WindowLayers)},
		{"layers", int64(a.Layers)},
		{"stateBytes", int64(a.State)},
	} {
		w.number(2, n.key, n.value)
	}
	w.flag(2, "indexed", a.Indexed)
	w.number(2, "indexBytes", int64(a.IndexBytes))
}

// serving is how engines load the model, and how it is talked to and tuned.
func (w *writer) serving(m model.Model) {
	w.texts(0, "architectures", m.Architectures)
	w.flag(0, "remoteCode", m.RemoteCode)
	w.text(0, "quantisation", m.Quantisation)
	w.number(0, "quantisationBits", int64(m.QuantisationBits))
	if m.Chat != (model.Chat{}) {
		w.line(0, "chat:")
		w.text(2, "template", m.Chat.Template)
		w.fraction(2, "temperature", m.Chat.Temperature)
		w.fraction(2, "topP", m.Chat.TopP)
	}
	if len(m.VLLM) > 0 {
		w.line(0, "vllm:")
		for _, key := range slices.Sorted(maps.Keys(m.VLLM)) {
			w.line(2, "%s: %s", scalar(key), scalar(m.VLLM[key]))
		}
	}
	if m.Tuning != nil {
		w.line(0, "tuning:")
		w.texts(2, "targets", m.Tuning.Targets)
		w.text(2, "note", m.Tuning.Note)
	}
}

func (w *writer) fraction(indent int, key string, value *float64) {
	if value != nil {
		w.line(indent, "%s: %v", key, *value)
	}
}

func (w *writer) form(name string, weights model.Weights) {
	w.line(2, "%s:", name)
	w.text(4, "file", weights.File)
	w.number(4, "sizeBytes", int64(weights.Size))
	if weights.Hub == nil {
		return
	}
	w.line(4, "hub:")
	w.line(6, "revision: %s", scalar(weights.Hub.Revision))
	w.texts(6, "files", weights.Hub.Files)
}
