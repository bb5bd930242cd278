package contract_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/internal/runner/contract"
)

// tuning is a file with all that must be there.
func tuning() contract.Tune {
	return contract.Tune{
		APIVersion: contract.Version, Workspace: "ws", RunID: "0123456789ab", Method: contract.MethodQLoRA,
		Model:   contract.TuneModel{ID: "m", HubID: "o/m", Revision: "r", Context: 4096, MaxLength: 2048},
		Weights: contract.Weights{Dir: contract.ModelDir, Image: &contract.WeightsImage{Reference: "h/m:1"}},
		Input: contract.TuneInput{
			URLs: []string{"https://h/rows.jsonl"}, AllowCIDRs: []string{"10.0.0.0/8"}, CAFile: "/etc/ca.crt",
		},
		Output:   contract.TuneOutput{Image: "h/o:1"},
		Settings: contract.Settings{"TrainingArguments": {"learning_rate": 0.1}},
		Threads:  2,
	}
}

func TestParseTuneReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*contract.Tune){
		"addresses": func(*contract.Tune) {},
		"a volume on both ends": func(tune *contract.Tune) {
			tune.Input, tune.Output = contract.TuneInput{Volume: true}, contract.TuneOutput{Volume: true}
		},
		"an image": func(tune *contract.Tune) {
			tune.Input = contract.TuneInput{Image: &contract.WeightsImage{Reference: "h/d:1"}, Digest: "sha256:00"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := tuning()
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

func TestParseTuneNamesThePlace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ old, new, want string }{
		"an unknown field":      {`"method"`, `"metod"`, `unknown field "metod"; method is missing`},
		"another method":        {`"qlora"`, `"QLoRA"`, `method is "QLoRA", want lora or qlora`},
		"another version":       {`runner.kaito.sh/v1`, `runner.kaito.sh/v2`, `apiVersion is "runner.kaito.sh/v2", this runner understands "runner.kaito.sh/v1"`},
		"no length":             {`"maxLength":2048`, `"maxLength":0`, `model.maxLength is missing`},
		"threads below zero":    {`"threads":2`, `"threads":-2`, `threads is -2, below zero`},
		"no settings":           {`"settings":{"TrainingArguments":{"learning_rate":0.1}},`, ``, `settings is missing`},
		"two places of data":    {`"urls":`, `"volume":true,"urls":`, `input has not exactly one of urls, image and volume`},
		"data from nowhere":     {`"urls":["https://h/rows.jsonl"],`, ``, `input has not exactly one of urls, image and volume`},
		"two places to publish": {`"image":"h/o:1"`, `"image":"h/o:1","volume":true`, `output has not exactly one of image and volume`},
		"a range that is none":  {`10.0.0.0/8`, `10.0.0.0`, `input.allowCIDRs[0] "10.0.0.0" is not a range of addresses`},
		"authorities elsewhere": {`/etc/ca.crt`, `ca.crt`, `input.caFile "ca.crt" does not begin with /`},
		"weights from nowhere":  {`"weights":{"dir":"/weights/model","image":{"reference":"h/m:1"}}`, `"weights":{"dir":"/weights/model"}`, `weights has not exactly one of image and hub`},
		"a word for a number":   {`"threads":2`, `"threads":"two"`, `threads is a string, want int`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := json.Marshal(tuning())
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(data), tc.old, tc.new, 1)
			if changed == string(data) {
				t.Fatalf("the example does not hold %q: %s", tc.old, data)
			}
			_, err = contract.ParseTune([]byte(changed))
			var invalid *contract.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if diff := cmp.Diff(tc.want, strings.Join(invalid.Problems, "; ")); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
