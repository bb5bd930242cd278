package plan

import (
	"strings"
	"testing"
)

const serving = `apiVersion: kaito.sh/v1alpha1
kind: Workspace
metadata: {name: w}
resource:
  instanceType: TYPE
  labelSelector: {matchLabels: {apps: w}}
inference:
  preset: {name: phi-4-mini-instruct}
`

func TestManifests(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		args []string
		want string
	}{
		"a server":      {strings.ReplaceAll(serving, "TYPE", "Standard_NV36ads_A10_v5"), []string{"--explain"}, "file-server.txt"},
		"own nodes":     {strings.ReplaceAll(serving, "TYPE", `""`), []string{"--instance-types", "g5.xlarge,g5.12xlarge"}, "file-own.txt"},
		"slices":        {strings.ReplaceAll(serving, "TYPE", "\"\"\n  partition: {mode: mig, profile: 3g.40gb}"), []string{"--instance-types", "Standard_NC24ads_A100_v4,Standard_ND96isr_H100_v5,p4d.24xlarge,g5.xlarge,Standard_ND96isr_MI300X_v5"}, "file-slices.txt"},
		"some GPUs":     {strings.ReplaceAll(serving, "TYPE", "\"\"\n  partition: {mode: accelerator, count: 4}"), []string{"--instance-types", "Standard_NC24ads_A100_v4,Standard_ND96isr_H100_v5,Standard_ND96isr_MI300X_v5"}, "file-part.txt"},
		"a tuning":      {tuned("Standard_NC24ads_A100_v4", "lora"), []string{"--explain"}, "file-tuning.txt"},
		"a tuning, own": {tuned(`""`, "qlora"), []string{"--instance-types", "Standard_NC4as_T4_v3,g5.xlarge,Standard_NC6s_v3,Standard_D4s_v5", "--prices", file(t, "p.yaml", prices)}, "file-tuning-own.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, _, err := run(append([]string{"-f", file(t, "w.yaml", tc.text)}, tc.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tc.want, out)
		})
	}
}

func tuned(instanceType, method string) string {
	return `apiVersion: kaito.sh/v1beta1
kind: Workspace
metadata: {name: w}
resource:
  instanceType: ` + instanceType + `
  labelSelector: {matchLabels: {apps: w}}
tuning:
  preset: {name: phi-4-mini-instruct}
  method: ` + method + `
  input: {urls: ["https://data.example.com/a.parquet"]}
  output: {image: "registry.example.com/a:1"}
`
}

func TestManifestsComeBack(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"llama-3.1-8b-instruct", "--context", "8192", "--concurrency", "64", "--instance-types", "g5.48xlarge"},
		{"smollm2-135m-instruct", "--context", "1024", "--instance-types", "Standard_D4s_v5"},
		{"phi-4-mini-instruct"},
	} {
		text, _, err := run(append(args, "--manifest")...)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := run("-f", file(t, "w.yaml", text))
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := run(args...)
		_, table, _ := strings.Cut(first, "INSTANCE TYPE")
		row := strings.Fields(strings.Split(table, "\n")[1])
		if got := strings.Join(strings.Fields(out), " "); !strings.Contains(got, strings.Join(row[:len(row)-1], " ")) {
			t.Errorf("%v: the row %v is not in\n%s", args, row, out)
		}
	}
}

func TestBadManifests(t *testing.T) {
	t.Parallel()
	good := strings.ReplaceAll(serving, "TYPE", "Standard_NC24ads_A100_v4")
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":                       {"", "holds no Workspace of kaito.sh"},
		"a Pod":                         {"apiVersion: v1\nkind: Pod\n", `holds no Workspace of kaito.sh, but "Pod" of "v1"`},
		"no YAML":                       {"a: [", "document 1: is no object of Kubernetes"},
		"a list":                        {"- a", "is no object of Kubernetes"},
		"a field that is not":           {good + "infrence: {}\n", `document 1: is no Workspace: unknown field "infrence"`},
		"a number that is a word":       {strings.Replace(good, "resource:", "resource:\n  count: two", 1), "document 1: is no Workspace: resource.count is text, not a whole number"},
		"a map that is a list":          {strings.Replace(good, "{name: phi-4-mini-instruct}", "[a]", 1), "inference.preset is a list, not what belongs there"},
		"an annotation that is no text": {strings.Replace(good, "{name: w}", "{name: w, annotations: {kaito.sh/context: 512}}", 1), `metadata.annotations: the value of kaito.sh/context is no text, which kubectl refuses: quote it, kaito.sh/context: "512"`},
		"a label that is no text":       {strings.Replace(good, "{apps: w}", "{apps: true}", 1), `matchLabels: the value of apps is no text, which kubectl refuses: quote it, apps: "true"`},
		"two Workspaces":                {good + "---\n" + good, `is a second Workspace, "w" beside "w"`},
		"neither kind":                  {strings.Split(good, "inference:")[0], "set exactly one of inference and tuning"},
		"a template":                    {strings.Replace(good, "preset: {name: phi-4-mini-instruct}", "template: {}", 1), "brings its own containers"},
		"an unknown model":              {strings.Replace(good, "phi-4-mini-instruct", "phi-4-mini-instrukt", 1), `would not be accepted, ModelNotFound: No model is called "phi-4-mini-instrukt", which preset.name says: did you mean phi-4`},
		"a model of the hub":            {strings.Replace(good, "phi-4-mini-instruct", "somebody/Tiny-Chat", 1), "kaito model import somebody/Tiny-Chat"},
		"a model of a hub to be tuned":  {strings.Replace(tuned("g5.xlarge", "lora"), "phi-4-mini-instruct", "somebody/Tiny-Chat", 1), "NotTunable: Model \"somebody/Tiny-Chat\""},
		"a catalog that is broken":      {strings.Replace(good, "phi-4-mini-instruct", "ours", 1) + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, labels: {kaito.sh/catalog: \"true\"}}\ndata: {ours.yaml: \"id: [\"}\n", `InvalidCatalog: What preset.name "ours" means cannot be said before this is corrected, which is read again at once: ConfigMap "m", key "ours.yaml"`},
		"slices of a node to be made":   {strings.Replace(good, "  labelSelector", "  partition: {mode: mig, profile: 1g.10gb}\n  labelSelector", 1), "NotYetSupported: This version of the operator does not act on resource.partition together with resource.instanceType yet"},
		"an unknown type":               {strings.Replace(good, "NC24ads_A100_v4", "NC24ads_A100_v5", 1), `UnknownInstanceType: No instance type is called "Standard_NC24ads_A100_v5"`},
		"no selector":                   {strings.Replace(good, "{matchLabels: {apps: w}}", "{}", 1), "InvalidSelector: resource.labelSelector cannot be used: it names no label"},
		"a ConfigMap elsewhere":         {good + "  config: settings\n", `ConfigMapNotFound: ConfigMap "settings", which inference.config names, is not in this namespace`},
		"a flag that is not":            {good + "  config: s\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata: {inference_config.yaml: \"vllm: {max-model-length: 5}\"}\n", `ConfigMap "s" cannot be used, inference_config.yaml: line 1: `},
		"a model that is no fit":        {strings.Replace(strings.Replace(good, "phi-4-mini-instruct", "deepseek-v3-0324", 1), "Standard_NC24ads_A100_v4", "g5.xlarge", 1), `DoesNotFit: Model "deepseek-v3-0324" with a context of 2048 needs`},
		"a training that is too large":  {tuned("Standard_D4s_v5", "lora"), "DoesNotFit: Model \"phi-4-mini-instruct\" has 3.8 billion parameters"},
		"a model that no one can":       {strings.Replace(tuned("g5.xlarge", "lora"), "phi-4-mini-instruct", "deepseek-v3.2", 1), "NotTunable: Model \"deepseek-v3.2\""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := run("-f", file(t, "w.yaml", tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("says %v, want %q", err, tc.want)
			}
		})
	}
	if _, _, err := run("-f", "/nonexistent.yaml"); err == nil || err.Error() != `there is no manifest "/nonexistent.yaml"` {
		t.Errorf("says %v", err)
	}
}

// A manifest is a stranger's: whatever it holds, it is read or refused with its name.
func FuzzReadManifest(f *testing.F) {
	good := strings.ReplaceAll(serving, "TYPE", "Standard_NC24ads_A100_v4")
	for _, seed := range []string{good, tuned("g5.xlarge", "lora"), good + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\n", "a: [", "- a", "&a [*a]", "---\n---\n", "\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readManifest("w.yaml", data)
		switch {
		case err != nil && !strings.Contains(err.Error(), "w.yaml"):
			t.Errorf("the error %q does not name the file", err)
		case err == nil && m.workspace == nil:
			t.Error("nothing is read, and nothing said")
		case err == nil:
			_ = whole(m.workspace)
		}
	})
}
