package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/internal/cli/shell"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// run is the command with its two streams.
func run(args ...string) (out, err string, failed error) {
	var stdout, stderr bytes.Buffer
	cmd := New(shell.Shell{Name: "kaito", Out: &stdout, Err: &stderr})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{}, args...)) // nil would be the test's own
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	failed = cmd.Execute()
	return stdout.String(), stderr.String(), failed
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s; rewrite it with -update (-want +got):\n%s", path, diff)
	}
}

// file writes a file for a test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const prices = "currency: USD\nperHour:\n  Standard_NC24ads_A100_v4: 3.67\n  standard_nc40ads_h100_v5: 6.98\n  g5.12xlarge: 5.67\n  g5.xlrge: 1.01\n"

func TestAnswers(t *testing.T) {
	t.Parallel()
	few := []string{"--instance-types", "Standard_NC24ads_A100_v4,Standard_NC40ads_H100_v5, g5.xlarge,g5.12xlarge,Standard_NC6s_v3,Standard_D4s_v5,G5.XLARGE"}
	priced := append([]string{"--prices", file(t, "prices.yaml", prices)}, few...)
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"the smallest machines first":      {append([]string{"phi-4-mini-instruct"}, few...), "phi-4-mini.txt"},
		"the cheapest first":               {append([]string{"phi-4-mini-instruct"}, priced...), "priced.txt"},
		"a CPU and GPUs":                   {append([]string{"smollm2-135m-instruct"}, few...), "smollm2.txt"},
		"the arithmetic on several GPUs":   {[]string{"qwen2.5-coder-32b-instruct", "--explain", "--instance-types", "g5.48xlarge"}, "explain-gpus.txt"},
		"GPUs of AMD's":                    {[]string{"llama-3.3-70b-instruct", "--instance-types", "Standard_ND96isr_MI300X_v5,Standard_ND96isr_H100_v5,Standard_NG32ads_V620_v1,g4ad.xlarge"}, "amd.txt"},
		"what AMD's cannot run":            {[]string{"mistral-small-4-119b-2603-nvfp4", "--instance-types", "Standard_ND96isr_MI300X_v5,Standard_ND96isr_H100_v5"}, "amd-nvfp4.txt"},
		"the arithmetic on a CPU":          {[]string{"smollm2-135m-instruct", "--explain", "--instance-types", "Standard_D4s_v5"}, "explain-cpu.txt"},
		"more GPUs for more requests":      {[]string{"llama-3.1-8b-instruct", "--context", "8192", "--concurrency", "64", "--instance-types", "g5.48xlarge,g5.12xlarge,g5.xlarge"}, "requests.txt"},
		"a model of 70B":                   {[]string{"llama-3.3-70b-instruct"}, "llama-70b.txt"},
		"and all that does not hold it":    {[]string{"llama-3.3-70b-instruct", "--all"}, "llama-70b-all.txt"},
		"a training":                       {[]string{"phi-4-mini-instruct", "--tune", "qlora", "--instance-types", "Standard_NC4as_T4_v3,g5.xlarge,Standard_NC24ads_A100_v4,Standard_NC6s_v3,Standard_D4s_v5"}, "tune.txt"},
		"a training with rows of a length": {[]string{"phi-4-mini-instruct", "--tune", "LoRA", "--batch", "2", "--length", "2048", "--explain", "--instance-types", "Standard_NC4as_T4_v3,g5.xlarge,Standard_NC24ads_A100_v4"}, "tune-rows.txt"},
		"a document in YAML":               {append([]string{"phi-4-mini-instruct", "-o", "yaml", "--explain"}, priced...), "document.yaml"},
		"a Workspace":                      {[]string{"phi-4-mini-instruct", "--manifest"}, "manifest.yaml"},
		"a Workspace with what was wanted": {[]string{"llama-3.1-8b-instruct", "--manifest", "--context", "8192", "--concurrency", "64", "--instance-types", "g5.48xlarge"}, "manifest-asked.yaml"},
		"a Workspace on a CPU":             {[]string{"smollm2-135m-instruct", "--manifest", "--context", "1024", "--instance-types", "Standard_D4s_v5"}, "manifest-cpu.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, stderr, err := run(tc.args...)
			if err != nil || stderr != "" {
				t.Fatalf("ended with %v and %q", err, stderr)
			}
			golden(t, tc.want, out)
		})
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	text := file(t, "prices.yaml", "perHour:\n  g5.xlarge: cheap\n  g6.xlarge: -1\n  g6.xlarge: 2\npricess: {}\n")
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, mostFile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args  []string
		want  string
		usage bool
	}{
		"no model":                         {nil, "MODEL is missing", true},
		"two models":                       {[]string{"a", "b"}, `unexpected argument "b"`, true},
		"a model with a typo":              {[]string{"phi-4-mini-instrct"}, `no model is called "phi-4-mini-instrct", did you mean phi-4-mini-instruct or`, false},
		"a model that nothing is like":     {[]string{"zzzzzzzzzzzz"}, "no model is called \"zzzzzzzzzzzz\"; `kaito model list` says which are known; of another one `kaito model import OWNER/NAME` writes what it is, which --catalog FILE plans", false},
		"a model of a hub":                 {[]string{"nobody/zzzzzzzz"}, "`kaito model import nobody/zzzzzzzz` writes what it is", false},
		"a context beyond the model's":     {[]string{"phi-4", "--context", "16385"}, `--context 16385 is more than the 16384 of model "phi-4": ask for less`, true},
		"no context":                       {[]string{"phi-4", "--context", "0"}, "--context 0 is not a number of tokens from 1 to", true},
		"a context that is a word":         {[]string{"phi-4", "--context", "long"}, `invalid argument "long" for "--context" flag: write a number of tokens, such as 8192, 8K for 8192 or 8k for 8000`, false},
		"a context with a unit":            {[]string{"phi-4", "--context", "17k"}, `--context 17000 is more than the 16384 of model "phi-4"`, true},
		"requests that are a word":         {[]string{"phi-4", "--concurrency", "8k"}, `invalid argument "8k" for "--concurrency" flag: write a whole number`, false},
		"more requests than a Workspace":   {[]string{"phi-4", "--concurrency", "16385"}, "--concurrency 16385 is not a number of requests from 1 to 16384", true},
		"requests below 1":                 {[]string{"phi-4", "--concurrency", "-1"}, "--concurrency -1 is not a number of requests", true},
		"a format that is not":             {[]string{"phi-4", "-o", "xml"}, "-o xml is not one of table, json and yaml", true},
		"a manifest in JSON":               {[]string{"phi-4", "--manifest", "-o", "json"}, "--manifest prints the Workspace alone", true},
		"types with typos":                 {[]string{"phi-4", "--instance-types", "Standard_NC24ads_A100_v3,nothing-like-it"}, `no instance type is called "Standard_NC24ads_A100_v3", did you mean Standard_NC24ads_A100_v4`, false},
		"and the other of the two":         {[]string{"phi-4", "--instance-types", "Standard_NC24ads_A100_v3,nothing-like-it"}, `no instance type is called "nothing-like-it"`, false},
		"a retired type alone":             {[]string{"phi-4", "--instance-types", "Standard_NC6s_v3"}, `model "phi-4" fits none of the instance types`, false},
		"a price file that is not there":   {[]string{"phi-4", "--prices", "/nonexistent/p.yaml"}, `there is no price file "/nonexistent/p.yaml"`, false},
		"a folder of prices":               {[]string{"phi-4", "--prices", t.TempDir()}, "is a folder", false},
		"a price file of a wrong size":     {[]string{"phi-4", "--prices", big}, "is no price file", false},
		"prices that are none":             {[]string{"phi-4", "--prices", text}, `prices.yaml": line 2, perHour.g5.xlarge is "cheap", which is no number: write the price of an hour, such as 3.67; line 3, perHour.g6.xlarge is -1: a price is not negative; line 5, "pricess" is no field: there are currency and perHour`, false},
		"requests that fit nowhere":        {[]string{"phi-4", "--concurrency", "10000", "--instance-types", "g5.xlarge"}, "fits none of the instance types", false},
		"a training that fits nowhere":     {[]string{"phi-4-mini-instruct", "--tune", "lora", "--length", "131072", "--batch", "64", "--instance-types", "g5.xlarge"}, `training model "phi-4-mini-instruct" fits none of the instance types`, false},
		"a method that is none":            {[]string{"phi-4", "--tune", "full"}, `--tune "full" is not one of lora and qlora`, true},
		"an empty method":                  {[]string{"phi-4", "--tune", ""}, `--tune "" is not one of lora and qlora`, true},
		"a batch without a training":       {[]string{"phi-4", "--batch", "2"}, "--batch and --length are those of a training: add --tune lora or --tune qlora", true},
		"no rows":                          {[]string{"phi-4", "--tune", "lora", "--batch", "0"}, "--batch 0 is not a number of rows from 1 to 4096", true},
		"rows that are too short":          {[]string{"phi-4", "--tune", "lora", "--length", "1"}, "--length 1 is not a number of tokens from 16 to", true},
		"rows beyond the context":          {[]string{"phi-4", "--tune", "lora", "--length", "16385"}, `--length 16385 is more than the context of 16384 of model "phi-4"`, true},
		"a context for a training":         {[]string{"phi-4", "--tune", "lora", "--context", "2048"}, "--context, --concurrency and --manifest are those of a server", true},
		"a model that is not tuned":        {[]string{"deepseek-v3.2", "--tune", "lora"}, `training model "deepseek-v3.2": `, false},
		"a selector without a cluster":     {[]string{"phi-4", "--selector", "a=b"}, "--selector is about the nodes of a cluster: add --own-nodes", true},
		"a selector that is none":          {[]string{"phi-4", "--own-nodes", "--selector", "a in b"}, `--selector "a in b" is no label selector`, true},
		"own nodes and types":              {[]string{"phi-4", "--own-nodes", "--instance-types", "g5.xlarge"}, "--own-nodes and --instance-types exclude each other", true},
		"a manifest for any own node":      {[]string{"phi-4", "--own-nodes", "--manifest"}, "--manifest with --own-nodes needs --selector", true},
		"an instance type without a model": {[]string{"--instance-types", "g5.xlarge"}, "MODEL is missing", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := run(tc.args...)
			var usage *shell.UsageError
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.As(err, &usage) != tc.usage {
				t.Errorf("ended with %v (%T), want %q, usage %v", err, err, tc.want, tc.usage)
			}
		})
	}
}

// TestEveryTableFits plans every model on every type, with prices for all.
func TestEveryTableFits(t *testing.T) {
	t.Parallel()
	known, err := load()
	if err != nil {
		t.Fatal(err)
	}
	text := "currency: USD\nperHour:\n"
	for _, of := range known.types.All() {
		text += "  " + of.Name + ": 1234.56\n"
	}
	priced := file(t, "prices.yaml", text)
	plans := 0
	for _, id := range known.models.IDs() {
		for _, extra := range [][]string{nil, {"--concurrency", "32"}} {
			out, _, _ := run(append([]string{id, "--explain", "--prices", priced}, extra...)...)
			if plans == 0 { // of the first model that fits: the order depends on no map
				if again, _, _ := run(append([]string{id, "--explain", "--prices", priced}, extra...)...); out != again {
					t.Errorf("%s: two answers", id)
				}
			}
			for line := range strings.Lines(out) {
				if len(strings.TrimRight(line, "\n")) > width || strings.ContainsAny(line, "\x1b\t\x00") || strings.TrimRight(line, "\n") != strings.TrimRight(line, " \n") {
					t.Errorf("%s: a line of %d characters: %q", id, len(line)-1, line)
				}
			}
			plans += strings.Count(out, "1235")
		}
	}
	if plans < 100 {
		t.Errorf("only %d rows were looked at", plans)
	}
}

// TestRetiredTypesAreNeverPlans also says that every type is either a plan or refused, once.
func TestRetiredTypesAreNeverPlans(t *testing.T) {
	t.Parallel()
	known, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range known.models.IDs() {
		out, _, _ := run(id, "-o", "json")
		var d document
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			t.Fatal(err)
		}
		times := map[string]int{}
		for _, p := range d.Plans {
			times[p.InstanceType]++
		}
		for _, r := range d.Refusals {
			times[r.InstanceType]++
			if r.Text == "" || r.Retired && len(r.Successors) == 0 {
				t.Errorf("%s: the refusal of %s says nothing that helps: %+v", id, r.InstanceType, r)
			}
		}
		for _, of := range known.types.All() {
			if times[of.Name] != 1 {
				t.Errorf("%s: %s stands there %d times", id, of.Name, times[of.Name])
			}
		}
		for _, p := range d.Plans {
			if of, _ := known.types.Lookup(p.InstanceType); of.Retired {
				t.Errorf("%s: the retired type %s is offered", id, of.Name)
			}
			if p.HeadroomBytes < 0 || p.Memory.TotalBytes < p.Memory.WeightsBytes {
				t.Errorf("%s: a plan that does not hold: %+v", id, p)
			}
		}
	}
}

func TestDocumentsSayTheSame(t *testing.T) {
	t.Parallel()
	asJSON, _, err := run("phi-4", "-o", "json", "--context", "4096")
	if err != nil {
		t.Fatal(err)
	}
	asYAML, _, err := run("phi-4", "-o", "yaml", "--context", "4096")
	if err != nil {
		t.Fatal(err)
	}
	back, err := yaml.YAMLToJSON([]byte(asYAML))
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := errors.Join(json.Unmarshal([]byte(asJSON), &a), json.Unmarshal(back, &b)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
}

// TestCPUTime logs what a plan on all types costs; it never fails by it.
func TestCPUTime(t *testing.T) { //nolint:paralleltest // it measures the whole process
	used := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			t.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	const times = 10
	before := used()
	for range times {
		if _, _, err := run("qwen2.5-coder-32b-instruct"); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("a model of 61 GiB on all instance types: %v of CPU", (used()-before)/times)
}
