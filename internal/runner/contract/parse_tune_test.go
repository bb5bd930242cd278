package contract_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/contract"
)

const digest64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// tune is a sound file.
func tune() contract.Tune {
	return contract.Tune{
		APIVersion: contract.Version, Workspace: "ws", RunID: "0123456789ab", Attempt: 1, Method: "lora",
		Model: contract.TuneModel{ID: "tiny", HubID: "owner/tiny", Revision: "main", Context: 2048, MaxLength: 1024},
		Weights: contract.Weights{Dir: contract.ModelDir, Hub: &contract.WeightsHub{
			Endpoint: "https://huggingface.co", Repository: "owner/tiny", Revision: "main",
		}},
		Input:    contract.TuneInput{URLs: []string{"https://host/rows.parquet"}, AllowCIDRs: []string{"10.0.0.0/8"}, Digest: "sha256:" + digest64},
		Output:   contract.TuneOutput{Image: "host/repo:tag", SecretName: "push"},
		Settings: contract.Settings{"LoraConfig": {"r": int64(8), "lora_dropout": 0.5, "target_modules": []any{"q_proj"}}},
		Threads:  1,
	}
}

func TestParseTuneReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*contract.Tune){
		"addresses": func(*contract.Tune) {},
		"a volume on both ends": func(t *contract.Tune) {
			t.Input, t.Output = contract.TuneInput{Volume: true}, contract.TuneOutput{Volume: true}
		},
		"an image": func(t *contract.Tune) {
			t.Input = contract.TuneInput{Image: &contract.WeightsImage{Reference: "h/d:1"}, Digest: "sha256:00"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := tune()
			change(&want)
			data, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := contract.ParseTune(data)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// The operator's own files, which are the goldens of its renderer.
func TestParseTuneReadsTheExamples(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join(examples, "tune", "*.json"))
	if err != nil || len(names) < 4 {
		t.Fatalf("golden examples: %v, %v", names, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := contract.ParseTune(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseTuneNamesThePlace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*contract.Tune)
		old    string
		new    string
		want   string
	}{
		"an unknown field":           {old: `"threads"`, new: `"treads"`, want: `unknown field "treads"; threads is missing`},
		"a field twice":              {old: `"threads":1`, new: `"threads":1,"threads":2`, want: `duplicate field "threads"`},
		"something behind the end":   {old: `"threads":1}`, new: `"threads":1}}`, want: "after top-level value"},
		"a word for a number":        {old: `"threads":1`, new: `"threads":"one"`, want: "threads is a string, want int"},
		"no run":                     {change: func(t *contract.Tune) { t.RunID = "" }, want: "runID is missing"},
		"a run that leads out":       {change: func(t *contract.Tune) { t.RunID = "../x" }, want: `runID "../x" is not`},
		"a run without an end":       {change: func(t *contract.Tune) { t.RunID = digest64 }, want: "is not made of at most 40"},
		"another version":            {change: func(t *contract.Tune) { t.APIVersion = "v9" }, want: `apiVersion is "v9"`},
		"another method":             {change: func(t *contract.Tune) { t.Method = "LoRA" }, want: `method is "LoRA", want lora or qlora`},
		"rows beyond the context":    {change: func(t *contract.Tune) { t.Model.MaxLength = 4096 }, want: "model.maxLength is 4096, more than the context of 2048"},
		"an attempt below zero":      {change: func(t *contract.Tune) { t.Attempt = -1 }, want: "attempt is -1, below zero"},
		"no settings":                {change: func(t *contract.Tune) { t.Settings = nil }, want: "settings is missing"},
		"weights from nowhere":       {change: func(t *contract.Tune) { t.Weights.Hub = nil }, want: "weights has not exactly one of image and hub"},
		"data from nowhere":          {change: func(t *contract.Tune) { t.Input.URLs = nil }, want: "input has not exactly one of urls, image and volume"},
		"data from two places":       {change: func(t *contract.Tune) { t.Input.Volume = true }, want: "input has not exactly one"},
		"authorities elsewhere":      {change: func(t *contract.Tune) { t.Input.CAFile = "ca.crt" }, want: `input.caFile "ca.crt" does not begin with /`},
		"a range that is none":       {change: func(t *contract.Tune) { t.Input.AllowCIDRs = []string{"10.0.0.0"} }, want: `input.allowCIDRs[0] "10.0.0.0"`},
		"an adapter that goes twice": {change: func(t *contract.Tune) { t.Output.Volume = true }, want: "output has not exactly one of image and volume"},
		"an adapter that goes lost":  {change: func(t *contract.Tune) { t.Output.Image = "" }, want: "output has not exactly one of image and volume"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := tune()
			if tc.change != nil {
				tc.change(&said)
			}
			data, err := json.Marshal(said)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(data), tc.old, tc.new, 1)
			_, err = contract.ParseTune([]byte(text))
			var invalid *contract.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

func FuzzParseTune(f *testing.F) {
	data, err := json.Marshal(tune())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"input":{"urls":["http://"]},"output":{"volume":true}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := contract.ParseTune(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := contract.ParseTune(again); err != nil || !cmp.Equal(got, back) {
			t.Errorf("written and read again: %v", err)
		}
	})
}
