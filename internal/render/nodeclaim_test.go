package render_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/nodeclaim"
	"kaito.sh/kaito/internal/render"
)

// nodes are those that claims are rendered for, by the name of their golden.
func nodes() map[string]render.Node {
	ws := &v1beta1.Workspace{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "workspace-tuning-phi-3", UID: "6f8b1c1e-7a3c-4e0c-9f52-6c7c0a1f1c55"},
		Resource: v1beta1.ResourceSpec{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{
			"app": "tuning-phi-3", "kubernetes.io/os": "linux", "kaito.sh/workspace": "somebody-else",
		}}},
	}
	return map[string]render.Node{
		"gpu": {Workspace: ws, InstanceType: "Standard_NC6s_v3", GPUs: 1, Disk: 160 * model.GiB},
		"amd": {Workspace: ws, InstanceType: "Standard_ND96isr_MI300X_v5", GPUs: 8, Resource: model.ResourceAMD, Disk: 288 * model.GiB},
		"cpu": {
			Workspace: ws, Ordinal: 1, Attempt: 2, InstanceType: "Standard_D4s_v5", Disk: 64 * model.GiB,
			CapacityTypes: []string{"spot", "on-demand"}, ImageFamily: "azurelinux",
		},
	}
}

func TestGoldensOfNodeClaims(t *testing.T) {
	t.Parallel()
	for name, node := range nodes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := yaml.Marshal(render.NodeClaim(node))
			if err != nil {
				t.Fatal(err)
			}
			got, _, _ = bytes.Cut(got, []byte("status:\n")) // which nobody can say here
			golden := filepath.Join("testdata", "nodeclaims", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; write it with -update", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("claim differs from %s; rewrite it with -update (-want +got):\n%s", golden, diff)
			}
		})
	}
}

func TestAClaimsNameSaysWhoseItIs(t *testing.T) {
	t.Parallel()
	base := nodes()["gpu"]
	names := map[string]string{render.NodeClaim(base).Name: "the node itself"}
	for what, edit := range map[string]func(*render.Node){
		"another ordinal":   func(n *render.Node) { n.Ordinal = 1 },
		"another attempt":   func(n *render.Node) { n.Attempt = 1 },
		"another namespace": func(n *render.Node) { n.Workspace.Namespace = "other" },
		"another Workspace": func(n *render.Node) { n.Workspace.Name = "other" },
		"another life":      func(n *render.Node) { n.Workspace.UID = "other" },
	} {
		one := base
		one.Workspace = base.Workspace.DeepCopy()
		edit(&one)
		if other, taken := names[one.Name()]; taken {
			t.Errorf("%s is called as %s", what, other)
		}
		names[one.Name()] = what
	}
}

// Pods stay off nodes that were made for somebody else, and on those that were made for them.
func TestPodsAreOnTheNodesThatWereMadeForThem(t *testing.T) {
	t.Parallel()
	s := serving(t, filepath.Join("testdata", "smollm2", "input.yaml"))
	s.Workspace.Resource.InstanceType = "Standard_D4s_v5"
	required := render.StatefulSet(s).Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	asked := map[string]string{}
	for _, e := range required.NodeSelectorTerms[0].MatchExpressions {
		asked[*e.Key] = strings.Join(e.Values, ",")
	}
	given := render.NodeClaim(render.Node{Workspace: s.Workspace, InstanceType: "Standard_D4s_v5"}).Labels
	if len(asked) < 3 {
		t.Errorf("pods ask for %v", asked)
	}
	for key, value := range asked {
		if given[key] != value {
			t.Errorf("pods ask for %s=%s, and their node has %q", key, value, given[key])
		}
	}
	if want := maps.Clone(asked); cmp.Diff(want[nodeclaim.LabelWorkspace], s.Workspace.Name) != "" {
		t.Errorf("pods ask for %v", asked)
	}
}

func TestTheServerAcceptsEveryNodeClaim(t *testing.T) {
	t.Parallel()
	for name, node := range nodes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim := render.NodeClaim(node)
			if err := api.Client(t).Create(t.Context(), claim, client.DryRunAll); err != nil {
				t.Fatal(err)
			}
			// What the server adds to what is asked for: a node that serves must not expire.
			if asJSON, err := claim.Spec.ExpireAfter.MarshalJSON(); err != nil || string(asJSON) != `"Never"` {
				t.Errorf("the node expires after %s, %v", asJSON, err)
			}
		})
	}
	t.Run("a claim of a type that is none is refused", func(t *testing.T) {
		t.Parallel()
		claim := render.NodeClaim(nodes()["gpu"])
		claim.Spec.Requirements[0].Values = nil
		if err := api.Client(t).Create(t.Context(), claim, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "must have a value defined") {
			t.Errorf("got %v, want an answer about the requirement", err)
		}
	})
}
