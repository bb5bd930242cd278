package get

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

func workspace(namespace, name string, age time.Duration, conditions ...metav1.Condition) v1beta1.Workspace {
	ws := v1beta1.Workspace{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, CreationTimestamp: metav1.Time{Time: now().Add(-age)},
	}}
	ws.Status.Conditions = conditions
	return ws
}

func now() time.Time { return time.Unix(1_800_000_000, 0) }

func three() []v1beta1.Workspace {
	answers := workspace("chat", "smollm2", 3*time.Hour, v1beta1.Accepted("smollm2-135m-instruct"), v1beta1.ResourceReady(), v1beta1.InferenceReady("smollm2"), v1beta1.WorkspaceReady())
	nodes := int32(1)
	answers.Status.State, answers.Status.TargetNodeCount = v1beta1.StateReady, &nodes
	answers.Status.Plan = &v1beta1.PlanStatus{Model: "smollm2-135m-instruct"}
	waits := v1beta1.NoMatchingNode("apps=phi")
	waiting := workspace("batch", "phi-4-with-a-long-name", 90*time.Second,
		v1beta1.Accepted("phi-4"), waits, v1beta1.ResourceNotReady(waits), v1beta1.InferenceWaits(waits), v1beta1.WorkspaceNotReady(waits))
	waiting.Resource.InstanceType, waiting.Status.State = "Standard_NC24ads_A100_v4", v1beta1.StatePending
	return []v1beta1.Workspace{answers, waiting, workspace("chat", "new", 0)}
}

func TestTheTable(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		names            []string
		wide, namespaces bool
		golden           string
	}{
		"those of a namespace, sorted, with what they wait for": {golden: "namespace.txt"},
		"all columns": {names: []string{"smollm2"}, wide: true, namespaces: true, golden: "wide.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			newTable(columns(tc.wide, tc.namespaces), now).write(&got, pick(three(), tc.names))
			golden := filepath.Join("testdata", tc.golden)
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; write it with -update", err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("table differs from %s; rewrite it with -update (-want +got):\n%s", golden, diff)
			}
		})
	}
}

func TestDocumentsAreThoseOfKubectl(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		format string
		picked []v1beta1.Workspace
		one    bool
		want   []string
	}{
		"one by its name":     {"yaml", three()[:1], true, []string{"apiVersion: kaito.sh/v1beta1\nkind: Workspace\n", "\n  name: smollm2\n"}},
		"a list":              {"json", three(), false, []string{"\"apiVersion\": \"v1\"", "\"kind\": \"List\"", "\"kind\": \"Workspace\""}},
		"a list of none":      {"json", nil, false, []string{`"items": []`}},
		"one that is missing": {"json", nil, true, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			if err := document(&got, tc.format, tc.picked, tc.one); err != nil {
				t.Fatal(err)
			}
			for _, part := range tc.want {
				if !strings.Contains(got.String(), part) {
					t.Errorf("lacks %q:\n%s", part, got.String())
				}
			}
			if tc.one && len(tc.picked) == 0 && got.Len() > 0 {
				t.Errorf("printed %q for nothing", got.String())
			}
		})
	}
}
