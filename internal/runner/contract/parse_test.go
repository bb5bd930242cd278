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

const examples = "../../../runtimes/schema/examples"

func TestExamplesAreReadAndSayAllThatTheyHold(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join(examples, "*.json"))
	if err != nil || len(names) < 3 {
		t.Fatalf("golden examples: %v, %v", names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := contract.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			again, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(generic(t, data), generic(t, again)); diff != "" {
				t.Errorf("what was read, written again (-file +written):\n%s", diff)
			}
		})
	}
}

func TestParseNamesThePlace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		old, new string
		want     string
	}{
		"an unknown field":              {`"healthPath"`, `"healtPath"`, `unknown field "engine.healtPath"; engine.healthPath is missing`},
		"a field in other case":         {`"url"`, `"URL"`, `unknown field "engine.URL"; engine.url is missing`},
		"an empty command":              {`"command": ["llama-server", "--model", "/weights/model/model.gguf", "--port", "5001"]`, `"command": []`, `engine.command is missing`},
		"a missing id":                  {`"id": "smollm2-135m-instruct", `, ``, `model.id is missing`},
		"a context of zero":             {`2048`, `0`, `model.context is missing`},
		"a context below zero":          {`2048`, `-1`, `model.context is -1, below zero`},
		"another version":               {`sh/v1"`, `sh/v9"`, `apiVersion is "runner.kaito.sh/v9", this runner understands "runner.kaito.sh/v1"`},
		"a variable without a name":     {`"healthPath"`, `"env": [{"value": "1"}], "healthPath"`, `engine.env[0].name is missing`},
		"a variable with a false name":  {`"healthPath"`, `"env": [{"name": "A=B"}], "healthPath"`, `engine.env[0].name "A=B" is not a variable's name`},
		"an engine that is far away":    {`http://127`, `ftp://127`, `engine.url "ftp://127.0.0.1:5001" is not of the form http://host:port`},
		"a health path without a slash": {`"/health"`, `"health"`, `engine.healthPath "health" does not begin with /`},
		"a field twice":                 {`"limits": {}`, `"limits": {"maxInFlight": 1, "maxInFlight": 2}`, `duplicate field "limits.maxInFlight"`},
		"a word for a number":           {`2048`, `"many"`, `model.context is a string, want int`},
		"weights from nowhere":          {`"limits": {}`, `"limits": {}, "weights": {"dir": "/weights/model"}`, `weights has not exactly one of image and hub`},
		"weights without a folder":      {`"limits": {}`, `"limits": {}, "weights": {"image": {}}`, `weights.dir is missing; weights.image.reference is missing`},
		"a folder that leads out":       {`"limits": {}`, `"limits": {}, "weights": {"dir": "/weights/../etc", "image": {"reference": "h/m:1"}}`, `weights.dir "/weights/../etc" is not the absolute path of a folder`},
		"weights below zero":            {`"limits": {}`, `"limits": {}, "weights": {"dir": "/w", "bytes": -1, "image": {"reference": "h/m:1"}}`, `weights.bytes is -1, below zero`},
		"a hub without a revision":      {`"limits": {}`, `"limits": {}, "weights": {"dir": "/w", "hub": {"endpoint": "https://h", "repository": "a/b"}}`, `weights.hub.revision is missing`},
		"a hub of another kind": {
			`"limits": {}`, `"limits": {}, "weights": {"dir": "/w", "hub": {"endpoint": "ftp://h", "repository": "a/../b", "revision": "main", "files": ["[", ""]}}`,
			`weights.hub.endpoint "ftp://h" is not of the form https://host; weights.hub.repository "a/../b" is not of the form owner/name; ` +
				`weights.hub.files[0] "[" is not a pattern; weights.hub.files[1] "" is not a pattern`,
		},
		"adapters without a base": {`"limits": {}`, `"limits": {}, "adapters": [{"name": "a"}]`, `adapterBase is missing`},
		"adapters that cannot be told apart": {
			`"limits": {}`, `"limits": {}, "adapterBase": {"hubID": "o/m", "maxRank": 8}, "adapters": [{"name": "a", "default": true}, {"name": "a", "strength": "-1", "default": true}]`,
			`adapters[1].name "a" is that of another adapter; adapters[1].strength "-1" is not a number from 0 on; 2 adapters are the default`,
		},
		"adapters of names that lead out": {
			`"limits": {}`, `"limits": {}, "adapterBase": {"hubID": "o/m", "maxRank": 8}, "adapters": [{"name": "../a"}, {"name": ".pull"}, {"name": "smollm2-135m-instruct", "image": {}}]`,
			`adapters[2].image.reference is missing; adapters[0].name "../a" is not the name of a file; adapters[1].name ".pull" is not the name of a file; adapters[2].name "smollm2-135m-instruct" is that of the model`,
		},
		"something behind the end": {`"limits": {}`, `"limits": {}}}`, `invalid character '}' after top-level value`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(filepath.Join(examples, "minimal.json"))
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(data), tc.old, tc.new, 1)
			if changed == string(data) {
				t.Fatalf("the example does not hold %q", tc.old)
			}
			_, err = contract.Parse([]byte(changed))
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

func TestLimitsHaveDefaultsAndAPodCanBeStoppedInTime(t *testing.T) {
	t.Parallel()
	want := contract.Limits{MaxBodyBytes: 32 << 20, MaxInFlight: 64, DrainSeconds: 60}
	if diff := cmp.Diff(want, contract.Limits{}.WithDefaults()); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	given := contract.Limits{MaxBodyBytes: 1, MaxInFlight: 2, DrainSeconds: 3}
	if diff := cmp.Diff(given, given.WithDefaults()); diff != "" {
		t.Errorf("given limits changed:\n%s", diff)
	}
	if got := (contract.Limits{}).TerminationGraceSeconds(); got != 75 {
		t.Errorf("termination grace = %d s, want 75", got)
	}
}

func generic(t *testing.T, data []byte) any {
	t.Helper()
	var out any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
