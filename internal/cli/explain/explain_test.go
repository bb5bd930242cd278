package explain

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/cli/cluster"
	"kaito.sh/kaito/internal/cli/shell"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// input is what was read from a cluster; most cases were written down from a real one.
type input struct {
	Now            metav1.Time                 `json:"now"`
	Workspace      v1beta1.Workspace           `json:"workspace"`
	StatefulSets   []appsv1.StatefulSet        `json:"statefulSets"`
	Service        *corev1.Service             `json:"service"`
	EndpointSlices []discoveryv1.EndpointSlice `json:"endpointSlices"`
	Pods           []corev1.Pod                `json:"pods"`
	Events         []corev1.Event              `json:"events"`
	NodeClaims     []cluster.NodeClaim         `json:"nodeClaims"`
	Operators      []cluster.Operator          `json:"operators"`
	Unseen         []string                    `json:"unseen"`
	OperatorUnseen bool                        `json:"operatorUnseen"`
}

func TestGoldens(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no goldens in testdata: %v", err)
	}
	for _, file := range cases {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var in input
			if err := yaml.UnmarshalStrict(raw, &in); err != nil {
				t.Fatal(err)
			}
			s := seen{
				workspace: in.Workspace, servers: in.StatefulSets, service: in.Service, slices: in.EndpointSlices,
				pods: in.Pods, events: in.Events, claims: in.NodeClaims, operators: in.Operators, unseen: in.Unseen, operatorUnseen: in.OperatorUnseen,
			}
			r := report(s, "kubectl kaito", in.Now.Time)
			got := shell.Clean(text(r))
			golden := filepath.Join(filepath.Dir(file), "want.txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; write it with -update", err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("report differs from %s; rewrite it with -update (-want +got):\n%s", golden, diff)
			}
			if asJSON, err := json.Marshal(r); err != nil || strings.Contains(string(asJSON), `"now"`) {
				t.Errorf("as JSON: %s: %v", asJSON, err)
			}
		})
	}
}

func TestEveryKnownCauseHasANextStep(t *testing.T) {
	t.Parallel()
	for reason := range steps() {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			ws := v1beta1.Workspace{ObjectMeta: metav1.ObjectMeta{Name: "tiny", Namespace: "chat"}}
			ws.Resource.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"apps": "tiny"}}
			r := Report{Name: "tiny", Namespace: "chat", Cause: &Condition{Type: "X", Reason: reason}}
			got := advise(seen{workspace: ws}, r, "kaito")
			for _, left := range []string{"EDIT", "ANEW", "LABEL", "DESCRIBE", "LOGS", "SELECTOR", "PROGRAM", " ON", "NAME "} {
				if strings.Contains(got, left) {
					t.Errorf("%q still holds %q", got, left)
				}
			}
			if got == "" || strings.HasSuffix(got, ".") || strings.ToUpper(got[:1]) != got[:1] {
				t.Errorf("%q does not read as the other messages", got)
			}
		})
	}
}

// A reason that is added to the API and not here would leave its user without a next step.
func TestEveryReasonOfTheAPIIsKnown(t *testing.T) {
	t.Parallel()
	// What is well, or follows from another condition.
	noCause := []string{
		"ReasonAccepted", "ReasonNodesReady", "ReasonNotAccepted", "ReasonResourceReady", "ReasonInferenceReady", "ReasonServingPreviousVersion",
		"ReasonWorkspaceReady", "ReasonWorkspaceNotReady", "ReasonWorkspaceSucceeded", "ReasonWorkspacePending",
		"ReasonNodeClaimsReady", "ReasonJobStarted", "ReasonAdapterPublished", "ReasonNotRequested", "ReasonServingPreviousRun", "ReasonWorkspaceFailed",
	}
	found := 0
	look := func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") || slices.Contains(noCause, spec.Names[0].Name) {
			return true
		}
		found++
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if steps()[value] == "" {
			t.Errorf("%s has no next step: give it a line in steps (advise.go)", spec.Names[0].Name)
		}
		return true
	}
	for _, name := range []string{"workspace_conditions.go", "tuning_conditions.go", "node_conditions.go"} {
		source, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "..", "api", "v1beta1", name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(source, look)
	}
	if found < 40 {
		t.Errorf("only %d reasons were found: the test looks at the wrong files", found)
	}
}
