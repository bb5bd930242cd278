package state_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaito.sh/kaito/localcluster/internal/layout"
	"kaito.sh/kaito/localcluster/internal/state"
)

func nodeNames(c state.Cluster) []string {
	out := []string{}
	for _, n := range c.Nodes {
		out = append(out, n.Name)
	}
	return out
}

func TestGrow(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		have  []string
		count int
		want  []string
	}{
		"a new cluster gets node1 and on":          {count: 2, want: []string{"node1", "node2"}},
		"nodes that are there count":               {have: []string{"gpu"}, count: 2, want: []string{"gpu", "node1"}},
		"a smaller number removes nothing":         {have: []string{"node1", "node2"}, count: 1, want: []string{"node1", "node2"}},
		"a name in use is passed over":             {have: []string{"node2"}, count: 3, want: []string{"node2", "node1", "node3"}},
		"as many as there are asks for no more":    {have: []string{"a", "b"}, count: 2, want: []string{"a", "b"}},
		"none asked for and none there stays none": {count: 0, want: []string{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := state.Cluster{Name: "c"}
			for _, n := range tc.have {
				if _, err := c.Add(n, state.Shape{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Grow(tc.count); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, nodeNames(c)); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAddGivesTheFirstFreeNumber(t *testing.T) {
	t.Parallel()
	c := state.Cluster{Name: "c"}
	if err := c.Grow(3); err != nil {
		t.Fatal(err)
	}
	c.Remove("node2")
	n, err := c.Add("late", state.Shape{})
	if err != nil || n.Number != 2 {
		t.Errorf("got number %d, error %v; want 2", n.Number, err)
	}
	var exists *state.ExistsError
	if _, err := c.Add("late", state.Shape{}); !errors.As(err, &exists) {
		t.Errorf("second node of the same name: %v", err)
	}
	if err := c.Grow(layout.MaxNodes); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Add("one-too-many", state.Shape{}); err == nil {
		t.Error("a node beyond the most was taken")
	}
}

func TestStateIsReadAsWritten(t *testing.T) {
	t.Parallel()
	want := state.Cluster{Name: "c", Index: 3, Programs: "/p", Nodes: []state.Node{{
		Name: "gpu", Number: 1, Leaving: true,
		Shape: state.Shape{
			Labels: map[string]string{"a": "b"}, Taints: []state.Taint{{Key: "sku", Value: "gpu", Effect: "NoSchedule"}},
			ProviderID: "azure:///x", MilliCPU: 1500, Memory: 4 << 30, GPUs: 2, GPUResource: "nvidia.com/gpu",
		},
	}}}
	path := filepath.Join(t.TempDir(), "deep", "state.json")
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := state.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestParseQuantities(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		parse func(string) (int64, error)
		in    string
		want  int64
		fails bool
	}{
		"whole CPUs":               {parse: state.ParseCPU, in: "2", want: 2000},
		"half a CPU":               {parse: state.ParseCPU, in: "0.5", want: 500},
		"thousandths":              {parse: state.ParseCPU, in: "750m", want: 750},
		"no CPU at all":            {parse: state.ParseCPU, in: "0", fails: true},
		"a word as CPU":            {parse: state.ParseCPU, in: "two", fails: true},
		"less than none":           {parse: state.ParseCPU, in: "-1", fails: true},
		"gibibytes":                {parse: state.ParseMemory, in: "4Gi", want: 4 << 30},
		"parts of a gibibyte":      {parse: state.ParseMemory, in: "1.5Gi", want: 3 << 29},
		"decimal gigabytes":        {parse: state.ParseMemory, in: "2G", want: 2e9},
		"plain bytes":              {parse: state.ParseMemory, in: "1048576", want: 1 << 20},
		"a unit without a number":  {parse: state.ParseMemory, in: "Gi", fails: true},
		"an unknown unit":          {parse: state.ParseMemory, in: "4GB", fails: true},
		"more than any machine":    {parse: state.ParseMemory, in: "99999999999Ti", fails: true},
		"nothing is not a number":  {parse: state.ParseMemory, in: "", fails: true},
		"not a number is no size":  {parse: state.ParseMemory, in: "NaN", fails: true},
		"not a number is no count": {parse: state.ParseCPU, in: "NaN", fails: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tc.parse(tc.in)
			if (err != nil) != tc.fails || got != tc.want {
				t.Errorf("%q = %d, %v; want %d, fails %v", tc.in, got, err, tc.want, tc.fails)
			}
		})
	}
}

func TestParseTaint(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		in    string
		want  state.Taint
		fails bool
	}{
		"key, value and effect": {in: "sku=gpu:NoSchedule", want: state.Taint{Key: "sku", Value: "gpu", Effect: "NoSchedule"}},
		"a key with a domain":   {in: "example.com/sku:NoExecute", want: state.Taint{Key: "example.com/sku", Effect: "NoExecute"}},
		"no effect":             {in: "sku=gpu", fails: true},
		"an unknown effect":     {in: "sku=gpu:Sometimes", fails: true},
		"no key":                {in: "=gpu:NoSchedule", fails: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := state.ParseTaint(tc.in)
			if (err != nil) != tc.fails || got != tc.want {
				t.Errorf("%q = %+v, %v", tc.in, got, err)
			}
		})
	}
}

func TestParseLabels(t *testing.T) {
	t.Parallel()
	got, err := state.ParseLabels([]string{"a=b", "kubernetes.azure.com/agentpool=ws1", "empty="})
	want := map[string]string{"a": "b", "kubernetes.azure.com/agentpool": "ws1", "empty": ""}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("labels (-want +got):\n%s, error %v", diff, err)
	}
	for _, bad := range []string{"a", "=b", "a b=c", "a=b c"} {
		if _, err := state.ParseLabels([]string{bad}); err == nil {
			t.Errorf("label %q was taken", bad)
		}
	}
}
