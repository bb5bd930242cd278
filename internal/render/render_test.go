package render_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/yaml"

	"kaito.sh/kaito/api/v1beta1"
	shipped "kaito.sh/kaito/catalog"
	"kaito.sh/kaito/internal/catalog"
	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/llamacpp"
	"kaito.sh/kaito/internal/engine/vllm"
	"kaito.sh/kaito/internal/estimate"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// input is what stands beside each golden: the Workspace, and the nodes that it is planned for.
type input struct {
	Workspace v1beta1.Workspace `json:"workspace"`
	// Nodes is set where the plan is for more than one.
	Nodes int `json:"nodes"`
	// Weights are set where they are not an image volume, PullSecrets where there are any.
	Weights     *render.Weights `json:"weights"`
	PullSecrets []string        `json:"pullSecrets"`
	// Adapters are those that are served beside the model.
	Adapters []render.Adapter `json:"adapters"`
	// Groups open the devices of AMD's GPUs.
	Groups []int64 `json:"groups"`
	Node   struct {
		CPU    int64 `json:"cpuMilli"`
		Memory int64 `json:"memoryMiB"`
		GPUs   struct {
			Count      int    `json:"count"`
			Taken      int    `json:"taken"`
			Resource   string `json:"resource"`
			Slice      string `json:"slice"`
			Label      string `json:"label"`
			Target     string `json:"target"`
			Product    string `json:"product"`
			Memory     int64  `json:"memoryMiB"`
			Capability string `json:"capability"`
		} `json:"gpus"`
	} `json:"node"`
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
			s := serving(t, file)
			got := document(t, s)
			if again := document(t, s); !bytes.Equal(got, again) {
				t.Error("rendering twice gives different bytes")
			}
			golden := filepath.Join(filepath.Dir(file), "want.yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; write it with -update", err)
			}
			if diff := gocmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("objects differ from %s; rewrite it with -update (-want +got):\n%s", golden, diff)
			}
		})
	}
}

func TestSelectorsBecomeNodeAffinity(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		selector metav1.LabelSelector
		want     string
	}{
		"labels, sorted": {
			metav1.LabelSelector{MatchLabels: map[string]string{"b": "2", "a": "1"}},
			"[{key: a, operator: In, values: ['1']}, {key: b, operator: In, values: ['2']}, {key: karpenter.sh/nodepool, operator: NotIn, values: [kaito]}]",
		},
		"expressions": {
			metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "gpu", Operator: metav1.LabelSelectorOpExists},
				{Key: "zone", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"a", "b"}},
			}},
			"[{key: gpu, operator: Exists}, {key: zone, operator: NotIn, values: [a, b]}, {key: karpenter.sh/nodepool, operator: NotIn, values: [kaito]}]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serving(t, filepath.Join("testdata", "smollm2", "input.yaml"))
			s.Workspace.Resource.LabelSelector = &tc.selector
			required := render.StatefulSet(s).Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
			got := marshal(t, required.NodeSelectorTerms[0].MatchExpressions)
			if diff := gocmp.Diff(normal(t, tc.want), got); diff != "" {
				t.Errorf("affinity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAChangeOfTheContractRollsThePods(t *testing.T) {
	t.Parallel()
	s := serving(t, filepath.Join("testdata", "smollm2", "input.yaml"))
	before := render.StatefulSet(s)
	s.Plan.Context /= 2
	after := render.StatefulSet(s)
	key := v1beta1.AnnotationConfigHash
	if before.Spec.Template.Annotations[key] == after.Spec.Template.Annotations[key] {
		t.Error("the pods would not notice the new contract")
	}
	if before.Annotations[key] == after.Annotations[key] {
		t.Error("an observer would take the status of the old template for that of the new one")
	}
}

// A model of the user's own is on no hub, and the runner and its clients call it by its id.
func TestTheRunnerReadsTheContractOfAModelOnNoHub(t *testing.T) {
	t.Parallel()
	s := serving(t, filepath.Join("testdata", "adapters", "input.yaml"))
	s.Model.HubID = ""
	got, err := contract.Parse([]byte(render.RunnerConfig(s).Data[filepath.Base(contract.ConfigFile)]))
	if err != nil {
		t.Fatal(err)
	}
	if got.Model.ID != s.Model.ID || got.AdapterBase == nil || got.AdapterBase.HubID != s.Model.ID || slices.Contains(got.Model.Aliases, "") {
		t.Errorf("it is called %+v, and the base of adapters %+v", got.Model, got.AdapterBase)
	}
}

// What the operator writes must be what the runner reads, and the pod must outlive its runner's stop.
func TestTheRunnerReadsEveryContract(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob(filepath.Join("testdata", "*", "input.yaml"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no goldens in testdata: %v", err)
	}
	for _, file := range cases {
		s := serving(t, file)
		if s.Template != nil {
			continue // no runner stands in a pod of the user's own
		}
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			got, err := contract.Parse([]byte(render.RunnerConfig(s).Data[filepath.Base(contract.ConfigFile)]))
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(render.Contract(s), got); diff != "" {
				t.Errorf("contract (-want +got):\n%s", diff)
			}
			grace := *render.StatefulSet(s).Spec.Template.Spec.TerminationGracePeriodSeconds
			if want := int64(got.Limits.TerminationGraceSeconds()); grace != want {
				t.Errorf("the pod is killed after %d s, its runner may take %d s", grace, want)
			}
		})
	}
}

// serving does what the controller does, from a file.
func serving(t *testing.T, file string) render.Serving {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var in input
	if err := yaml.UnmarshalStrict(data, &in); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if raw := in.Workspace.Inference.Template; raw != nil {
		var template corev1ac.PodTemplateSpecApplyConfiguration
		if err := yaml.UnmarshalStrict(raw.Raw, &template); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return render.Serving{Workspace: &in.Workspace, Template: &template, Plan: model.Plan{Nodes: max(1, in.Nodes)}}
	}
	models, err := catalog.Load(shipped.Files)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := models.Lookup(in.Workspace.Inference.Preset.Name)
	if !ok {
		t.Fatalf("%s names a model that is not in the catalog", file)
	}
	plan, err := estimate.OnNode(m, in.wishes(), in.shape(t))
	if err != nil {
		t.Fatal(err)
	}
	plan.Nodes = max(plan.Nodes, in.Nodes)
	weights := render.Weights{Image: "registry.local:5000/kaito/models/" + m.ID + ":" + string(plan.Form)}
	if in.Weights != nil {
		weights = *in.Weights
	}
	at := contract.AdapterGGUF
	command, image := llamacpp.Command, "registry.local:5000/kaito/llamacpp:dev"
	if plan.Engine == vllm.Name {
		command, image, at = vllm.Command, "vllm/vllm-openai:v0.33.0", contract.AdapterPEFT
		if plan.Vendor() == model.AMD {
			image = "vllm/vllm-openai-rocm:v0.33.0"
		}
	}
	told := engine.Input{Model: m, Plan: plan, Weights: contract.ModelDir, Port: contract.EnginePort}
	for _, a := range in.Adapters {
		told.Adapters = append(told.Adapters, engine.Adapter{Name: a.Name, Path: at(a.Name)})
	}
	start, err := command(told)
	if err != nil {
		t.Fatal(err)
	}
	return render.Serving{
		Workspace: &in.Workspace, Model: m, Plan: plan, Command: start,
		Images: render.Images{
			Runner: "registry.local:5000/kaito/runner:dev",
			Engine: image,
		},
		Weights:     weights,
		PullSecrets: in.PullSecrets,
		Adapters:    in.Adapters,
		Groups:      in.Groups,
	}
}

// wishes are for the adapters alone.
func (in input) wishes() model.Wishes {
	var ranks []int
	for _, a := range in.Adapters {
		ranks = append(ranks, a.Rank)
	}
	wish := model.Wish{Adapters: model.Adapters{Ranks: ranks}}
	return model.Wishes{llamacpp.Name: wish, vllm.Name: wish}
}

// shape is the node as the controller would see it.
func (in input) shape(t *testing.T) model.NodeShape {
	t.Helper()
	n := model.NodeShape{Name: "node", CPU: model.MilliCPU(in.Node.CPU), Memory: model.Bytes(in.Node.Memory) * model.MiB}
	if g := in.Node.GPUs; g.Count > 0 {
		n.GPUs = model.GPUs{
			Count: g.Count, Product: g.Product, Memory: model.Bytes(g.Memory) * model.MiB,
			Kind:  model.Label{Key: cmp.Or(g.Label, "nvidia.com/gpu.product"), Value: g.Product},
			Taken: g.Taken, Resource: g.Resource, Slice: g.Slice, Target: g.Target,
		}
		if g.Target != "" {
			return n
		}
		if _, err := fmt.Sscanf(g.Capability, "%d.%d", &n.GPUs.Capability.Major, &n.GPUs.Capability.Minor); err != nil {
			t.Fatalf("capability %q: %v", g.Capability, err)
		}
	}
	return n
}

func document(t *testing.T, s render.Serving) []byte {
	t.Helper()
	var parts []string
	objects := []any{render.NetworkPolicy(s), render.Service(s), render.DisruptionBudget(s), render.StatefulSet(s)}
	if config := render.RunnerConfig(s); config != nil {
		objects = append([]any{config}, objects...)
	}
	if headless := render.Headless(s); headless != nil {
		objects = append(objects, headless)
	}
	for _, o := range objects {
		parts = append(parts, marshal(t, o))
	}
	return []byte(strings.Join(parts, "---\n"))
}

func marshal(t *testing.T, o any) string {
	t.Helper()
	data, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func normal(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return marshal(t, value)
}

// What opens the registries of adapters is seen by the container that pulls them, and by no
// other; the engine sees what that container has made.
func TestOnlyTheContainerThatPullsAdaptersSeesTheirSecrets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"adapters", "adapters-gpu"} {
		spec := render.StatefulSet(serving(t, filepath.Join("testdata", name, "input.yaml"))).Spec.Template.Spec
		pulls := 0
		for _, c := range append(spec.InitContainers, spec.Containers...) {
			for _, m := range c.VolumeMounts {
				switch secret := strings.HasPrefix(*m.Name, "adapter-secret"); {
				case *c.Name == render.AdaptersContainer && secret:
					pulls++
				case secret:
					t.Errorf("%s: container %s mounts %s", name, *c.Name, *m.Name)
				case *m.Name == "adapters" && *c.Name != render.AdaptersContainer && (m.ReadOnly == nil || !*m.ReadOnly):
					t.Errorf("%s: container %s can write adapters", name, *c.Name)
				}
			}
		}
		if pulls != 2 {
			t.Errorf("%s: %d secrets are mounted, want 2", name, pulls)
		}
	}
}

func TestAnAdapterTakesANameFromTheModel(t *testing.T) {
	t.Parallel()
	s := serving(t, filepath.Join("testdata", "adapters", "input.yaml"))
	s.Adapters[1].Name = "HuggingFaceTB/SmolLM2-135M-Instruct"
	if got := render.Contract(s).Model.Aliases; len(got) != 0 {
		t.Errorf("the model still answers to %v", got)
	}
}
