package model

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"kaito.sh/kaito/api/v1beta1"
	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/model"
)

// comments are what a reader of the file should know.
func (g found) comments() []string {
	var out []string
	if len(g.absent) > 0 {
		out = append(out, "No file says: "+strings.Join(g.absent, ", ")+". Plans bound what they need of it from above; add what you know, with its source.")
	}
	for _, note := range g.notes {
		out = append(out, strings.ToUpper(note[:1])+note[1:]+".")
	}
	if !g.chatTemplate {
		out = append(out, "Its files have no chat template: where it was trained to talk, name one under chat.template.")
	}
	return out
}

// hides says which models that are shipped a model of one's own stands before.
func hides(m model.Model) (string, error) {
	models, err := catalog.LoadLines(shipped.Lines)
	if err != nil {
		return "", fmt.Errorf("read the catalog: %w", err)
	}
	var ids []string
	for _, name := range m.Names() {
		if of, ok := models.Lookup(name); ok && !slices.Contains(ids, of.ID) {
			ids = append(ids, of.ID)
		}
	}
	if len(ids) == 0 {
		return "", nil
	}
	return fmt.Sprintf("Kaito ships a model of this name, %s: where this file is used it stands before that; --id gives it a name of its own\n", strings.Join(ids, " and ")), nil
}

// servable is false of a model that no engine runs: llama.cpp takes GGUF, vLLM what it has code for.
func servable(m model.Model) bool {
	_, gguf := m.Forms[model.FormGGUF]
	return gguf || !engine.Served(m).Unserved
}

// weights are those that plans prefer, with the form in which they are.
func (g found) weights() (model.Form, model.Weights) {
	if w, ok := g.model.Forms[model.FormGGUF]; ok {
		return model.FormGGUF, w
	}
	return model.FormHF, g.model.Forms[model.FormHF]
}

// said is what was found, and what was not.
func (g found) said() string {
	m := g.model
	var out strings.Builder
	_, weights := g.weights()
	_, _ = fmt.Fprintf(&out, "%s: %s of weights, context %d", m.ID, weights.Size, m.Context)
	if n := m.KVBytesPerToken(); n > 0 {
		_, _ = fmt.Fprintf(&out, ", %d bytes of cache a token", int64(n))
	}
	_, _ = fmt.Fprintln(&out)
	if len(g.absent) > 0 {
		_, _ = fmt.Fprintf(&out, "no file says: %s\n", strings.Join(g.absent, ", "))
	}
	for _, note := range g.notes {
		_, _ = fmt.Fprintln(&out, note)
	}
	if m.RemoteCode {
		_, _ = fmt.Fprintf(&out, "it brings a program of its own, which an engine runs only where a Workspace allows it by the annotation %s: \"true\"\n", v1beta1.AnnotationTrustRemoteCode)
	}
	return out.String()
}

// next says what to do with the file.
func (g found) next(program, where, file string) string {
	m := g.model
	var out strings.Builder
	if !servable(m) {
		_, _ = fmt.Fprintf(&out, "vLLM %s has no code for %s: no engine serves these weights; as a GGUF file llama.cpp may run the model on CPUs, and `%s model import` takes that\n",
			flags.VLLM().Version, strings.Join(m.Architectures, ", "), program)
		return out.String()
	}
	form, weights := g.weights()
	_, _ = fmt.Fprintf(&out, "\nNext:\n  # where it runs\n  %s plan %s --catalog %s\n", program, m.ID, quoted(file))
	switch {
	case weights.Hub != nil:
	case g.pickles:
		_, _ = fmt.Fprintf(&out, "  # no image is made of pickles: let transformers write them as safetensors, and import that folder\n"+
			"  python3 -c 'import sys, transformers as t; t.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=\"auto\").save_pretrained(sys.argv[2]); t.AutoTokenizer.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[2])' %s %s\n",
			quoted(where), quoted(m.ID+"-safetensors"))
		return out.String()
	default:
		_, _ = fmt.Fprintf(&out, "  # its weights as an image, where the operator looks: REGISTRY is registries.models of its chart\n  %s model package %s --name %s --license %s\n  %s model push %s.oci REGISTRY/%s:%s\n",
			program, quoted(where), m.ID, quoted(m.Licence), program, m.ID, m.ID, form)
	}
	_, _ = fmt.Fprintf(&out, "  # for the Workspaces of a namespace\n  kubectl create configmap %s --from-file=%s\n  kubectl label configmap %s kaito.sh/catalog=true\n", m.ID, keyed(m.ID, file), m.ID)
	_, _ = fmt.Fprintf(&out, "  # the Workspace, by hand with inference.preset.name: %s, or of the best plan: on nodes that have a label, or on one that is made\n", m.ID)
	_, _ = fmt.Fprintf(&out, "  %s plan %s --catalog %s --own-nodes --selector KEY=VALUE --manifest\n", program, m.ID, quoted(file))
	_, _ = fmt.Fprintf(&out, "  %s plan %s --catalog %s --manifest\n", program, m.ID, quoted(file))
	return out.String()
}

// keyed is a file as kubectl takes it for the key ID.yaml, by which a catalog finds the model.
func keyed(id, file string) string {
	if key := id + ".yaml"; filepath.Base(file) != key {
		return quoted(key + "=" + file)
	}
	return quoted(file)
}

// quoted is a word for a shell.
func quoted(word string) string {
	if !strings.ContainsAny(word, " \t'\"\\$&;|<>()*?[]#~`!") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
