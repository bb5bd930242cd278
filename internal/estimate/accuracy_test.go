package estimate_test

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

var update = flag.Bool("update", false, "rewrite docs/accuracy.md")

// accuracyPage is made by this test and compared by it.
const accuracyPage = "../../docs/accuracy.md"

// fewestRows is how many rows a median needs to say anything.
const fewestRows = 10

// row is a model whose weights were computed from its architecture.
type row struct {
	id                  string
	computed, published model.Bytes
}

// percent is by how much the computed weights miss the published.
func (r row) percent() float64 {
	const hundred = 100
	return (float64(r.computed)/float64(r.published) - 1) * hundred
}

// accuracy computes what can be. The published size is hidden from the computation.
func accuracy(t *testing.T) (rows []row, missing map[string][]string) {
	t.Helper()
	models, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	missing = map[string][]string{}
	for _, id := range models.IDs() {
		m, _ := models.Lookup(id)
		published := m.Forms[model.FormHF].Size
		m.Forms = nil
		size, lacks := estimate.ArchitectureWeights(m)
		if len(lacks) > 0 {
			facts := strings.Join(lacks, ", ")
			missing[facts] = append(missing[facts], id)
			continue
		}
		rows = append(rows, row{id, size, published})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(math.Abs(b.percent()), math.Abs(a.percent())) })
	return rows, missing
}

func median(rows []row) float64 {
	var all []float64
	for _, r := range rows {
		all = append(all, math.Abs(r.percent()))
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// sizes counts rows of one architecture, such as Phi-3-mini with its three contexts, once.
func sizes(rows []row) int {
	different := map[model.Bytes]bool{}
	for _, r := range rows {
		different[r.computed] = true
	}
	return len(different)
}

// summary claims a median only where there are enough rows.
func summary(rows []row) string {
	if len(rows) < fewestRows {
		return fmt.Sprintf("**%d rows computed**: too few for a median to say anything.", len(rows))
	}
	worst := rows[0]
	return fmt.Sprintf("**%d rows computed, of %d different sizes; median error %.2f %%; the worst is `%s` with %+.2f %%.**", len(rows), sizes(rows), median(rows), worst.id, worst.percent())
}

// page writes docs/accuracy.md.
func page(rows []row, missing map[string][]string) string {
	var b strings.Builder
	b.WriteString(`# How accurate sizing is

Made by ` + "`go test ./internal/estimate -run Accuracy -update`" + `; the test fails where this page is not what it computes.

## Weights

A plan takes the weights of a model as the publisher's files have them. Here they are computed from the architecture alone, with that size hidden: two
matrices of vocabulary × width (one where they are tied), and in each layer the projections of attention, the gated feed-forward network and the norms, at 16 bits. How
far that misses the files says how far the facts of the catalog can be trusted. The published sizes are rounded to 0.01 GiB in our source, and rounded up by
half of that in the catalog. That of ` + "`smollm2-135m-instruct`" + ` is its published number of parameters at 16 bits.

`)
	b.WriteString(summary(rows) + "\n\n| model | published, bytes | computed, bytes | error |\n|---|---:|---:|---:|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| `%s` | %d | %d | %+.2f %% |\n", r.id, r.published, r.computed, r.percent())
	}
	b.WriteString("\n## Not computed\n\nOf these models no source that we have gives the facts, so nothing is claimed of them. Their plans rest on the size of their files.\n\n| missing | models |\n|---|---|\n")
	var facts []string
	for fact := range missing {
		facts = append(facts, fact)
	}
	slices.Sort(facts)
	count := 0
	for _, fact := range facts {
		count += len(missing[fact])
		fmt.Fprintf(&b, "| %s | `%s` |\n", fact, strings.Join(missing[fact], "`, `"))
	}
	fmt.Fprintf(&b, "\n%d models, of which %d were computed and %d were not.\n", count+len(rows), len(rows), count)
	return b.String()
}

// The published bytes, computed from the architecture: what the page says is what the code computes, and it is right.
func TestAccuracy(t *testing.T) {
	t.Parallel()
	rows, missing := accuracy(t)
	got := page(rows, missing) + sideBySide(t)
	if *update {
		if err := os.WriteFile(accuracyPage, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(accuracyPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), write it again with -update:\n%s", accuracyPage, diff)
	}
	const mostMedian = 2.0
	if len(rows) >= fewestRows && median(rows) > mostMedian {
		t.Errorf("the median error is %.2f %%, want %.0f at most", median(rows), mostMedian)
	}
	t.Log(summary(rows))
}

func TestNoMedianIsClaimedOfAFewRows(t *testing.T) {
	t.Parallel()
	few := make([]row, fewestRows-1)
	for i := range few {
		few[i] = row{"m", 101, 100}
	}
	if text := summary(few); strings.Contains(text, "median error") || !strings.Contains(text, "9 rows computed") {
		t.Errorf("got %q", text)
	}
	if text := summary(append(few, row{"worst", 90, 100})); !strings.Contains(text, "median error 1.00 %; the worst") {
		t.Errorf("got %q", text)
	}
}

// A fact that is not there is named, and nothing is computed from a zero.
func TestArchitectureWeightsNameWhatIsMissing(t *testing.T) {
	t.Parallel()
	m := preset(t, "phi-4")
	m.MLP, m.KVHeads = 0, 0
	size, missing := estimate.ArchitectureWeights(m)
	if diff := gocmp.Diff([]string{"kvHeads", "mlp"}, missing); diff != "" || size != 0 {
		t.Errorf("size %d, missing (-want +got):\n%s", size, diff)
	}
}
