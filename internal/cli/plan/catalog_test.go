package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// own is a catalog file as `kaito model import` writes it.
const own = `source: a test
id: harbour-7b
licence: MIT
context: 8192
layers: 32
heads: 32
kvHeads: 8
headDim: 128
hidden: 4096
forms:
  hf:
    sizeBytes: 14000000000
`

func TestModelsOfOnesOwnArePlanned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	phi := strings.NewReplacer("harbour-7b", "phi-4", "8192", "4096").Replace(own)
	for name, text := range map[string]string{"harbour-7b.yaml": own, "phi-4.yaml": phi, "notes.txt": "none of it"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"from a file":                           {[]string{"harbour-7b", "--catalog", filepath.Join(dir, "harbour-7b.yaml")}, "Model harbour-7b: 13.0 GiB of safetensors, context of 8192"},
		"from a file of any name":               {[]string{"harbour-7b", "--catalog", file(t, "mine", own)}, "Model harbour-7b"},
		"from a folder":                         {[]string{"harbour-7b", "--catalog", dir}, "Model harbour-7b"},
		"before a shipped one of the same name": {[]string{"phi-4", "--catalog", dir}, "context of 4096"},
		"beside those that are shipped":         {[]string{"phi-4-mini-instruct", "--catalog", dir}, "Model phi-4-mini-instruct"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, _, err := run(append(tc.args, "--instance-types", "Standard_NC24ads_A100_v4")...)
			if err != nil || !strings.Contains(out, tc.want) {
				t.Errorf("got %v, want a plan that says %q:\n%s", err, tc.want, out)
			}
		})
	}
}

// A model that no engine has code for is refused before anything is created.
func TestAModelWithoutCodeIsRefused(t *testing.T) {
	t.Parallel()
	path := file(t, "odd.yaml", own+"architectures: [OddForCausalLM]\n")
	out, _, err := run("harbour-7b", "--catalog", path, "--instance-types", "Standard_NC24ads_A100_v4")
	if err == nil || !strings.Contains(out, "OddForCausalLM") {
		t.Errorf("got %v and:\n%s", err, out)
	}
}

func TestACatalogThatIsNoneIsTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ catalog, want string }{
		"a file that is not there":            {"/no/catalog.yaml", "there is no catalog \"/no/catalog.yaml\": name a file that `kaito model import` has written"},
		"a folder without one":                {t.TempDir(), "has no file *.yaml"},
		"a file with a fact that is none":     {file(t, "a.yaml", strings.Replace(own, "context: 8192", "context: -1", 1)), "context -1 is not between 1 and"},
		"a fact of the wrong kind":            {file(t, "a.yaml", strings.Replace(own, "context: 8192", "context: lots", 1)), `a.yaml": line 4, context is "lots", not a whole number`},
		"several things at once":              {file(t, "a.yaml", strings.Replace(own, "context: 8192", "context: lots\nlicens: x", 1)), `not a whole number; line 5, "licens" is no field of a model, did you mean licence?`},
		"a flag that no engine has":           {file(t, "a.yaml", own+"vllm: {tool-call-parsr: hermes}\n"), "vllm.tool-call-parsr is no flag of vllm"},
		"a file that is called after another": {filepath.Dir(file(t, "other.yaml", own)), `call it "harbour-7b.yaml"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := run("harbour-7b", "--catalog", tc.catalog)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want one that says %q", err, tc.want)
			}
		})
	}
}
