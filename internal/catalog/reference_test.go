package catalog_test

import (
	"cmp"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/model"
)

var update = flag.Bool("update", false, "rewrite docs/reference/catalog.md")

// referencePage is where the catalog stands for people.
const referencePage = "../../docs/reference/catalog.md"

// TestTheReferenceIsCurrent writes the page anew and holds it against the one that is there.
func TestTheReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	got := reference(t)
	if *update {
		if err := os.WriteFile(referencePage, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), write it again with make golden:\n%s", referencePage, diff)
	}
}

// TestTheFileInTheDocsIsOne: what people copy is what the catalog takes.
func TestTheFileInTheDocsIsOne(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/adding-a-model.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "```yaml\n")
	text, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatal("the page has no file")
	}
	if _, err := catalog.Parse([]byte(text)); err != nil {
		t.Error(err)
	}
}

func reference(t *testing.T) string {
	t.Helper()
	models := all(t)
	var out strings.Builder
	fmt.Fprintf(&out, `# The catalog

Made by `+"`go test ./internal/catalog -run Reference -update`"+` from the files of `+"`catalog/`"+`; the test fails where this page is not what they say.
%d models. An empty field is a fact that no source gives: plans bound it from above and say so. How to add a model: [adding-a-model.md](../adding-a-model.md).

| model | at the hub | licence | form: GiB | context | layers | heads / KV / width | hidden | attention | quantised | tuned |
|---|---|---|---|---:|---:|---|---:|---|---|---|
`, len(models))
	for _, m := range models {
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %d | %s | %s | %s | %s | %s | %s |\n", m.ID, m.HubID, terms(m), forms(m), m.Context,
			known(m.Layers), heads(m), known(m.Hidden), kept(m), quantised(m), tuned(m))
	}
	fmt.Fprintf(&out, "\n## Other names\n\n| name | model |\n|---|---|\n")
	for _, m := range models {
		for _, alias := range m.Aliases {
			fmt.Fprintf(&out, "| `%s` | `%s` |\n", alias, m.ID)
		}
	}
	fmt.Fprintf(&out, "\n## How vLLM serves them\n\n| model | architectures | flags |\n|---|---|---|\n")
	for _, m := range models {
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", m.ID, strings.Join(m.Architectures, ", "), served(m))
	}
	fmt.Fprintf(&out, "\n## Sources\n\n")
	sources(t, &out)
	return out.String()
}

func known(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func terms(m model.Model) string {
	text := m.Licence
	if m.Gated {
		text += ", gated"
	}
	if !m.Redistributable {
		text += ", not to be passed on"
	}
	return text
}

func forms(m model.Model) string {
	var parts []string
	for form, w := range m.Forms {
		parts = append(parts, fmt.Sprintf("%s: %.2f", form, float64(w.Size)/float64(model.GiB)))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func heads(m model.Model) string {
	if m.Heads == 0 && m.KVHeads == 0 && m.HeadDim == 0 {
		return ""
	}
	return fmt.Sprintf("%s / %s / %s", known(m.Heads), known(m.KVHeads), known(m.HeadDim))
}

// kept is what the layers keep, in the words of the files.
func kept(m model.Model) string {
	a := m.Attention
	switch a.Kind {
	case model.AttentionLatent:
		text := fmt.Sprintf("latent %d + %d", a.Latent, a.Rope)
		if a.Indexed {
			text += ", indexed"
		}
		return text
	case model.AttentionSliding:
		if a.WindowLayers == 0 {
			return "windows"
		}
		return fmt.Sprintf("windows of %d in %d layers", a.Window, a.WindowLayers)
	case model.AttentionHybrid:
		if a.Layers == 0 {
			return "hybrid"
		}
		return fmt.Sprintf("hybrid, %d layers attend", a.Layers)
	case model.AttentionFull:
	}
	switch m.KVHeads {
	case 0:
		return ""
	case 1:
		return "multi-query"
	case m.Heads:
		return "multi-head"
	}
	return "grouped"
}

func quantised(m model.Model) string {
	if m.QuantisationBits == 0 {
		return m.Quantisation
	}
	return fmt.Sprintf("%s, %d bits", m.Quantisation, m.QuantisationBits)
}

func tuned(m model.Model) string {
	if m.Tuning == nil {
		return ""
	}
	return "yes"
}

func served(m model.Model) string {
	if m.Unserved {
		return "vLLM has no code for it"
	}
	var parts []string
	for name, value := range m.VLLM {
		parts = append(parts, fmt.Sprintf("`--%s %s`", name, value))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

var numberOfGiB = regexp.MustCompile(`\bits [0-9.]+ GiB`)

// sources prints each text of a source once, with its models.
func sources(t *testing.T, out *strings.Builder) {
	t.Helper()
	names, err := fs.Glob(shipped.Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	of := map[string][]string{}
	for _, name := range names {
		raw, err := fs.ReadFile(shipped.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		var e struct {
			ID     string `json:"id"`
			Source string `json:"source"`
		}
		if err := yaml.Unmarshal(raw, &e); err != nil {
			t.Fatal(err)
		}
		if e.Source == "" { // the first lines of the file say it
			var lines []string
			for line := range strings.Lines(string(raw)) {
				text, comment := strings.CutPrefix(line, "#")
				if !comment {
					break
				}
				lines = append(lines, strings.TrimSpace(text))
			}
			e.Source = strings.Join(lines, " ")
		}
		if e.Source == "" {
			t.Errorf("%s says nothing of where its facts are from", name)
		}
		e.Source = numberOfGiB.ReplaceAllString(e.Source, "its number of GiB") // which stands in the table
		of[e.Source] = append(of[e.Source], "`"+e.ID+"`")
	}
	type group struct {
		source string
		models []string
	}
	var groups []group
	for source, models := range of {
		groups = append(groups, group{source, models})
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(len(b.models), len(a.models)), strings.Compare(a.models[0], b.models[0]))
	})
	for _, g := range groups {
		fmt.Fprintf(out, "- %s\n  Of %s.\n", strings.TrimSpace(g.source), strings.Join(g.models, ", "))
	}
}
