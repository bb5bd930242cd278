package catalog_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
)

const good = `
id: tiny
hubID: Owner/Tiny
aliases: [tiny-alias]
licence: MIT
parameters: 1000
context: 512
layers: 2
kvHeads: 1
headDim: 8
chat: {template: chatml, temperature: 0, topP: 0.9}
forms:
  gguf: {file: tiny.gguf, sizeBytes: 600}
`

func TestShippedCatalogLoads(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"smollm2-135m-instruct", "HuggingFaceTB/SmolLM2-135M-Instruct", "SMOLLM2-135M-INSTRUCT"} {
		m, ok := c.Lookup(name)
		if !ok {
			t.Fatalf("Lookup(%q) finds nothing", name)
		}
		// 30 layers x 3 heads x 64 x 2 x 16 bits: measured in the reference pages.
		if got, want := m.KVBytesPerToken(), model.Bytes(23040); got != want {
			t.Errorf("KV cache of a token is %d bytes, want %d", got, want)
		}
	}
}

// What the catalog says of a model must be what vLLM knows.
func TestVLLMKnowsWhatTheCatalogSays(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	table, onGPUs := flags.VLLM(), 0
	for _, id := range c.IDs() {
		m, _ := c.Lookup(id)
		w, ok := m.Forms[model.FormHF]
		if !ok {
			continue
		}
		onGPUs++
		if len(m.Architectures) == 0 || m.Heads == 0 || m.Hidden == 0 {
			t.Errorf("%s: architectures, heads or hidden are not known, and planning for GPUs needs them", id)
		}
		for _, a := range m.Architectures {
			if !table.Serves(a) {
				t.Errorf("%s: vLLM %s does not serve %s", id, table.Version, a)
			}
		}
		for name, value := range m.VLLM {
			f, _, ok := table.Find(name)
			if !ok || f.Name != name {
				t.Errorf("%s: vLLM %s has no flag that is first called %q", id, table.Version, name)
			} else if err := f.Check(value); err != nil && (f.Kind != flags.Switch || value != "true") {
				t.Errorf("%s: %v", id, err)
			}
		}
		if w.Hub == nil && id != "smollm2-135m-instruct" {
			t.Errorf("%s: nobody knows where the weights are", id)
		}
	}
	if onGPUs < 60 {
		t.Errorf("%d models for GPUs, want 60 at least", onGPUs)
	}
}

func TestLegacyNamesFindTheirModels(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	for alias, want := range map[string]string{
		"phi-4":                         "microsoft/phi-4",
		"phi-4-mini-instruct":           "microsoft/Phi-4-mini-instruct",
		"deepseek-r1-distill-llama-8b":  "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
		"deepseek-r1-distill-qwen-14b":  "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
		"phi-3-mini-4k-instruct":        "microsoft/Phi-3-mini-4k-instruct",
		"phi-3-mini-128k-instruct":      "microsoft/Phi-3-mini-128k-instruct",
		"phi-3-medium-4k-instruct":      "microsoft/Phi-3-medium-4k-instruct",
		"phi-3-medium-128k-instruct":    "microsoft/Phi-3-medium-128k-instruct",
		"phi-3.5-mini-instruct":         "microsoft/Phi-3.5-mini-instruct",
		"qwen2.5-coder-7b-instruct":     "Qwen/Qwen2.5-Coder-7B-Instruct",
		"qwen2.5-coder-32b-instruct":    "Qwen/Qwen2.5-Coder-32B-Instruct",
		"gpt-oss-20b":                   "openai/gpt-oss-20b",
		"gpt-oss-120b":                  "openai/gpt-oss-120b",
		"llama-3.1-8b-instruct":         "meta-llama/Llama-3.1-8B-Instruct",
		"llama-3.3-70b-instruct":        "meta-llama/Llama-3.3-70B-Instruct",
		"mistral-7b":                    "mistralai/Mistral-7B-v0.3",
		"mistral-7b-instruct":           "mistralai/Mistral-7B-Instruct-v0.3",
		"ministral-3-3b-instruct":       "mistralai/Ministral-3-3B-Instruct-2512",
		"ministral-3-8b-instruct":       "mistralai/Ministral-3-8B-Instruct-2512",
		"ministral-3-14b-instruct":      "mistralai/Ministral-3-14B-Instruct-2512",
		"gemma-3-4b-instruct":           "google/gemma-3-4b-it",
		"gemma-3-27b-instruct":          "google/gemma-3-27b-it",
		"deepseek-r1-0528":              "deepseek-ai/DeepSeek-R1-0528",
		"deepseek-v3-0324":              "deepseek-ai/DeepSeek-V3-0324",
		"mistral-large-3-675b-instruct": "mistralai/Mistral-Large-3-675B-Instruct-2512",
	} {
		if m, ok := c.Lookup(alias); !ok || m.HubID != want {
			t.Errorf("%s is %q, want %q", alias, m.HubID, want)
		}
	}
	if m, _ := c.Lookup("llama-3.1-8b-instruct"); !m.Gated || m.Redistributable {
		t.Error("Llama is gated, and its licence is no free one")
	}
}

// The reference system tunes ten presets, and so do we, and the model for development.
func TestTheModelsThatAreTuned(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	var tuned []string
	for _, id := range c.IDs() {
		if m, _ := c.Lookup(id); m.Tuning != nil {
			tuned = append(tuned, id)
		}
	}
	want := []string{
		"mistral-7b-v0.3", "phi-3-medium-128k-instruct", "phi-3-medium-4k-instruct", "phi-3-mini-128k-instruct", "phi-3-mini-4k-instruct",
		"phi-3.5-mini-instruct", "phi-4", "phi-4-mini-instruct", "qwen2.5-coder-32b-instruct", "qwen2.5-coder-7b-instruct", "smollm2-135m-instruct",
	}
	if diff := cmp.Diff(want, tuned); diff != "" {
		t.Errorf("models (-want +got):\n%s", diff)
	}
}

// The widths of a model, multiplied out, must come to the size of its files: no fact can be
// wrong alone. Norms and biases, which are left out, are less than a thousandth.
func TestTheFactsOfWhatIsTunedGiveTheSizeOfItsFiles(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range c.IDs() {
		m, _ := c.Lookup(id)
		if m.Tuning == nil {
			continue
		}
		matrices := 2
		if m.TiedEmbeddings {
			matrices = 1
		}
		parameters := int64(matrices * m.Vocabulary * m.Hidden)
		for _, target := range m.Tuning.Targets {
			l := m.Linears()[target]
			parameters += int64(m.Layers) * int64(l.In) * int64(l.Out)
		}
		got, want := 2*float64(parameters), float64(m.Forms[model.FormHF].Size)
		if got < want*0.998 || got > want*1.002 {
			t.Errorf("%s: the facts give %.0f bytes, its files have %.0f", id, got, want)
		}
	}
}

func TestAZeroTemperatureIsKept(t *testing.T) {
	t.Parallel()
	m, err := catalog.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	likeliest, most := 0.0, 0.9
	if diff := cmp.Diff(model.Chat{Template: "chatml", Temperature: &likeliest, TopP: &most}, m.Chat); diff != "" {
		t.Errorf("chat (-want +got):\n%s", diff)
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ old, with, want string }{
		"an unknown field":                 {"licence:", "license: x\nlicence:", `"license" is no field of a model, did you mean licence?`},
		"an unknown field further in":      {"sizeBytes: 600", "sizeByte: 600", `"forms.gguf.sizeByte" is no field of a model, did you mean sizeBytes?`},
		"a field that stands there twice":  {"licence: MIT", "licence: MIT\nlicence: X", "licence stands there twice: leave one"},
		"a list where text should stand":   {"licence: MIT", "licence: [MIT]", "licence is a list, not text"},
		"text where a truth should stand":  {"licence: MIT", "licence: MIT\ngated: perhaps", `gated is "perhaps", not true or false`},
		"a word in place of a map":         {"licence: MIT", "licence: MIT\nvllm: fast", `vllm is "fast", not a map`},
		"what is no YAML":                  {"licence: MIT", "licence: [MIT", "read the model: line "},
		"what is no map":                   {good, "- 1", "line 1, the file is a list, not a map of fields"},
		"an id that is no image name":      {"id: tiny", "id: Tiny Model", "is not a lower-case image name"},
		"a hub id without an owner":        {"Owner/Tiny", "Tiny", "is not owner/name"},
		"a missing licence":                {"licence: MIT", "licence: ''", "licence is missing"},
		"a context of nothing":             {"context: 512", "context: 0", "context 0 is not between 1"},
		"weights too small for the model":  {"sizeBytes: 600", "sizeBytes: 6", "does not match 1000 parameters"},
		"a file that leaves its folder":    {"tiny.gguf", "../tiny.gguf", "is not a file name"},
		"a form that no engine reads":      {"gguf:", "onnx:", "neither gguf nor hf"},
		"a size of nothing":                {"sizeBytes: 600", "sizeBytes: 0", "is not between 1 and"},
		"heads that do not divide":         {"kvHeads: 1", "kvHeads: 2\nheads: 3", "3 heads cannot share 2 kvHeads evenly"},
		"an architecture that is none":     {"licence: MIT", "licence: MIT\narchitectures: [A B]", `architecture "A B" is not the name of a class`},
		"a hub without a revision":         {"sizeBytes: 600", "sizeBytes: 600, hub: {}", "is no commit, tag or branch"},
		"an attention that is none":        {"licence: MIT", "licence: MIT\nattention: {kind: linear}", `attention.kind "linear" is none of mla, sliding, hybrid`},
		"a latent cache without its width": {"licence: MIT", "licence: MIT\nattention: {kind: mla}", "attention of kind mla needs latent and rope"},
		"a window where none is":           {"licence: MIT", "licence: MIT\nattention: {window: 512}", `attention.window belongs to kind "sliding"`},
		"more windows than layers":         {"licence: MIT", "licence: MIT\nattention: {kind: sliding, window: 8, windowLayers: 3}", "attention.windowLayers 3 is not between 0 and 2"},
		"a size of no index":               {"licence: MIT", "licence: MIT\nattention: {indexBytes: 132}", "attention.indexBytes needs indexed: true"},
		"too many bits":                    {"licence: MIT", "licence: MIT\nquantisationBits: 32", "quantisationBits 32 is not between 0 and 16"},
		"a model without any form":         {"  gguf: {file: tiny.gguf, sizeBytes: 600}", "  {}", "forms is empty"},
		"an alias with a space":            {"[tiny-alias]", "['tiny alias']", "is not a name"},
		"a number that would overflow":     {"parameters: 1000", "parameters: 9223372036854775807", "is not between 0"},
		"a template that is an option":     {"chatml", "--help", "is not the name of a template"},
		"a temperature that boils":         {"temperature: 0", "temperature: 2.1", "chat.temperature 2.1 is not between 0 and 2"},
		"a temperature below zero":         {"temperature: 0", "temperature: -0.1", "chat.temperature -0.1 is not between"},
		"a share of no tokens":             {"topP: 0.9", "topP: 0", "chat.topP 0 is not above 0"},
		"a share of more than all tokens":  {"topP: 0.9", "topP: 1.1", "chat.topP 1.1 is not above 0 and at most 1"},
		"a tuning without widths":          {"kvHeads: 1", "kvHeads: 1\ntuning: {targets: [q_proj]}", "tuning needs heads, hidden, mlp and vocabulary"},
		"a tuning without weights for it":  {"kvHeads: 1", "kvHeads: 1\ntuning: {targets: [q_proj]}", "tuning needs the form hf"},
		"a tuning of no layer":             {"kvHeads: 1", "kvHeads: 1\ntuning: {targets: []}", "tuning.targets is empty"},
		"a tuning of an unknown layer":     {"kvHeads: 1", "kvHeads: 1\ntuning: {targets: [fc1]}", `"fc1" is no linear layer that is known`},
		"text where a number should stand": {"layers: 2", "layers: two", `layers is "two", not a whole number`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := catalog.Parse([]byte(strings.Replace(good, tc.old, tc.with, 1)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an answer that says %q", err, tc.want)
			}
		})
	}
}

func TestLoadRefusesWhatWouldBeAmbiguous(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, tc := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"a file that is not called after its model": {fstest.MapFS{"other.yaml": file(good)}, `call it "tiny.yaml"`},
		"two models with one alias": {fstest.MapFS{
			"tiny.yaml":  file(good),
			"tiny2.yaml": file(strings.NewReplacer("id: tiny", "id: tiny2", "Owner/Tiny", "Owner/Two").Replace(good)),
		}, "belongs to model"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := catalog.Load(tc.files); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an answer that says %q", err, tc.want)
			}
		})
	}
}

func TestNear(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"smollm2-135m-instrut":    {"smollm2-135m-instruct"},
		"smollm2":                 {"smollm2-135m-instruct"},
		"SmolLM2-135M":            {"smollm2-135m-instruct"},
		"x/smollm2-135m":          {"smollm2-135m-instruct"},
		"mistral-7":               {"mistral-7b-instruct-v0.3", "mistral-7b-v0.3"},
		"phi-3-mini-128k-instruc": {"phi-3-mini-128k-instruct", "phi-3-mini-4k-instruct", "phi-3-medium-128k-instruct"},
		"gemma-9-nano":            nil,
	} {
		if diff := cmp.Diff(want, c.Near(name)); diff != "" {
			t.Errorf("Near(%q) (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("forms: {gguf: {sizeBytes: -1}}"))
	f.Add([]byte("id: [1, 2]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := catalog.Parse(data)
		if err != nil {
			return
		}
		m, _ = estimate.Bounded(m)
		if m.KVBytesPerToken() <= 0 || m.KVBytesPerToken()*model.Bytes(m.Context) <= 0 {
			t.Errorf("accepted a model whose cache overflows: %+v", m)
		}
		for form, w := range m.Forms {
			if w.Size <= 0 {
				t.Errorf("accepted weights of %d bytes in form %q", w.Size, form)
			}
		}
	})
}
