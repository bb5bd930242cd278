package render_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/localcluster/internal/cgroup"
	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/render"
	"kaito.sh/kaito/localcluster/internal/state"
)

var update = flag.Bool("update", false, "rewrite the goldens")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func lines(components []render.Component) string {
	var b strings.Builder
	for _, c := range components {
		b.WriteString(strings.Join(c.Argv, "\n    ") + "\n")
	}
	return b.String()
}

func cluster() layout.Cluster { return layout.New("/var/lib/kaito-local", "kaito", 3) }

func TestGoldenControlPlane(t *testing.T) {
	t.Parallel()
	p := render.ControlPlane{Cluster: cluster(), Programs: "/cache/bin", Self: []string{"/bin/kaito-localcluster", "internal", "files"}}
	golden(t, "controlplane/argv.txt", lines(p.Components()))
	golden(t, "controlplane/Corefile", render.Corefile(cluster()))
	var objects strings.Builder
	for _, o := range render.Objects() {
		objects.WriteString(o.Path + "\n" + string(o.JSON) + "\n")
	}
	golden(t, "controlplane/objects.txt", objects.String())
}

func TestGoldenNode(t *testing.T) {
	t.Parallel()
	machine := render.Machine{MilliCPU: 8000, Memory: 32 << 30}
	cases := map[string]state.Node{
		"plain": {Name: "node1", Number: 1},
		"shaped": {Name: "gpu", Number: 2, Shape: state.Shape{
			Labels: map[string]string{
				"sku": "gpu", "node.kubernetes.io/instance-type": "Standard_NC24", "kubernetes.azure.com/agentpool": "ws1",
				"node-role.kubernetes.io/worker": "", "topology.kubernetes.io/zone": "1",
			},
			Taints:     []state.Taint{{Key: "sku", Value: "gpu", Effect: "NoSchedule"}},
			ProviderID: "azure:///subscriptions/s/virtualMachineScaleSets/x/0",
			MilliCPU:   4000, Memory: 8 << 30, GPUs: 2, GPUResource: "nvidia.com/gpu",
		}},
	}
	for name, spec := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := render.Node{Cluster: cluster(), Spec: spec, Machine: machine, Programs: "/cache/bin"}
			for _, f := range n.Files() {
				rel, err := filepath.Rel(cluster().Node(spec.Name), f.Path)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join(name, strings.ReplaceAll(rel, ":", "_")), f.Content)
			}
			golden(t, filepath.Join(name, "argv.txt"), lines(n.Commands()))
		})
	}
}

func TestShapeOfANode(t *testing.T) {
	t.Parallel()
	n := render.Node{Cluster: cluster(), Machine: render.Machine{MilliCPU: 2000, Memory: 8 << 30}, Spec: state.Node{
		Name: "n", Number: 1, Shape: state.Shape{MilliCPU: 500, Memory: 1 << 30, Labels: map[string]string{
			"a": "1", "node-role.kubernetes.io/gpu": "2", "x.k8s.io/y": "3", "kaito.sh/z": "4", "node.kubernetes.io/instance-type": "5",
		}},
	}}
	want := cgroup.Limits{MilliCPU: 500, Memory: 1<<30 + 712<<20}
	if diff := cmp.Diff(want, n.Limits()); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"node-role.kubernetes.io/gpu": "2", "x.k8s.io/y": "3"}, n.AdminLabels()); diff != "" {
		t.Errorf("labels for the administrator (-want +got):\n%s", diff)
	}
	n.Spec.Shape = state.Shape{}
	if diff := cmp.Diff(cgroup.Limits{}, n.Limits()); diff != "" {
		t.Errorf("a node without a shape has no limits (-want +got):\n%s", diff)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	m := render.Machine{MilliCPU: 2000, Memory: 4 << 30}
	cases := map[string]struct {
		shape state.Shape
		want  string
	}{
		"all of the machine":       {shape: state.Shape{}},
		"all CPUs by number":       {shape: state.Shape{MilliCPU: 2000}},
		"more CPUs than there are": {shape: state.Shape{MilliCPU: 2001}, want: "cpu"},
		"part of the memory":       {shape: state.Shape{Memory: 2 << 30}},
		"memory down to the last":  {shape: state.Shape{Memory: 4 << 30}, want: "memory"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := m.Check(tc.shape)
			var large *render.TooLargeError
			if got := errors.As(err, &large); got != (tc.want != "") || got && large.What != tc.want {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestValuesOfTheUserStayInTheirPlace(t *testing.T) {
	t.Parallel()
	n := render.Node{Cluster: cluster(), Spec: state.Node{Name: "n", Number: 1, Shape: state.Shape{ProviderID: "x\nfailSwapOn: true # \""}}}
	if got := strings.Count(n.Kubelet(), "\nfailSwapOn:"); got != 1 {
		t.Errorf("a provider ID became %d lines of configuration", got)
	}
}
