package nodes

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/nodeclaim"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

func read(t *testing.T) []Node {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "claims.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var claims []cluster.NodeClaim
	if err := yaml.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return From(claims)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("output differs from %s; rewrite it with -update (-want +got):\n%s", file, diff)
	}
}

func TestTheTable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct{ wide, namespaces bool }{
		"table.txt": {}, "wide.txt": {wide: true, namespaces: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			if err := table(&got, read(t), tc.wide, tc.namespaces, now); err != nil {
				t.Fatal(err)
			}
			golden(t, name, got.String())
		})
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	var asJSON, asYAML strings.Builder
	if err := document(&asJSON, "json", read(t)); err != nil {
		t.Fatal(err)
	}
	if err := document(&asYAML, "yaml", read(t)); err != nil {
		t.Fatal(err)
	}
	golden(t, "nodes.yaml", asYAML.String())
	var a, b []Node
	if err := json.Unmarshal([]byte(asJSON.String()), &a); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(asYAML.String()), &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("JSON and YAML differ:\n%s", diff)
	}
	var none strings.Builder
	if err := document(&none, "json", From(nil)); err != nil || none.String() != "[]\n" {
		t.Errorf("no nodes are %q, %v", none.String(), err)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	step := func(kind string, status metav1.ConditionStatus) Step {
		return Step{Step: kind, Status: status, Reason: "R", Message: "m"}
	}
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	for name, tc := range map[string]struct {
		steps []Step
		goes  bool
		want  string
		waits string
	}{
		"nobody has taken it up":               {nil, false, "Asked", ""},
		"the cloud makes it":                   {[]Step{step("Launched", unknown)}, false, "Launching", "Launched"},
		"the cloud refuses":                    {[]Step{step("Launched", no)}, false, "Refused", "Launched"},
		"its machine is there":                 {[]Step{step("Launched", yes)}, false, "Joining", ""},
		"its node has not joined":              {[]Step{step("Launched", yes), step("Registered", unknown)}, false, "Joining", "Registered"},
		"its GPUs are missing":                 {[]Step{step("Launched", yes), step("Registered", yes), step("Initialized", no)}, false, "Starting", "Initialized"},
		"it is whole":                          {[]Step{step("Launched", yes), step("Registered", yes), step("Initialized", yes)}, false, "Ready", ""},
		"it goes, and is being drained":        {[]Step{step("Launched", yes), step("Drained", unknown)}, true, "Leaving", "Drained"},
		"it goes, and its machine is still on": {[]Step{step("Drained", yes), step("InstanceTerminating", unknown)}, true, "Leaving", "InstanceTerminating"},
		"it goes, and nobody says more":        {nil, true, "Leaving", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			state, waits := stateOf(tc.steps, tc.goes)
			got := ""
			if waits != nil {
				got = waits.Step
			}
			if state != tc.want || got != tc.waits {
				t.Errorf("%s, waiting for %q; want %s, %q", state, got, tc.want, tc.waits)
			}
		})
	}
}

// The program has words of its own for Karpenter's, because their types are too large for it.
func TestTheWordsAreKarpenters(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{nodeclaim.ConditionLaunched, nodeclaim.ConditionRegistered, nodeclaim.ConditionInitialized}, way()); diff != "" {
		t.Error(diff)
	}
	if cluster.LabelOrdinal != nodeclaim.LabelOrdinal || cluster.AnnotationAttempt != nodeclaim.AnnotationAttempt || cluster.LabelCapacity != nodeclaim.LabelCapacityType {
		t.Error("labels of NodeClaims are called differently here")
	}
}
