package workspace

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/instance"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/testkit"
)

// withGPUs gives a node GPUs and the labels of its discovery, as key=value.
func withGPUs(n *corev1.Node, count string, labels ...string) *corev1.Node {
	n.Status.Allocatable[gpuResource] = resource.MustParse(count)
	n.Status.Allocatable[corev1.ResourceMemory] = resource.MustParse("220Gi")
	n.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("24")
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		metav1.SetMetaDataLabel(&n.ObjectMeta, key, value)
	}
	return n
}

// a100 are the labels of one, as GPU feature discovery writes them.
func a100() []string {
	return []string{
		"nvidia.com/gpu.product=NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.memory=81920", "nvidia.com/gpu.count=1",
		"nvidia.com/gpu.compute.major=8", "nvidia.com/gpu.compute.minor=0",
	}
}

func TestGPUsOfANode(t *testing.T) {
	t.Parallel()
	types, err := instance.Load()
	if err != nil {
		t.Fatal(err)
	}
	discovered := model.GPUs{
		Count: 1, Product: "NVIDIA A100 SXM4 80GB", Kind: model.Label{Key: labelGPUProduct, Value: "NVIDIA-A100-SXM4-80GB"},
		Memory: 80 * model.GiB, Capability: model.Capability{Major: 8},
	}
	shared := discovered
	shared.Memory /= 4
	published := model.GPUs{
		Count: 4, Product: "NVIDIA T4", Kind: model.Label{Key: corev1.LabelInstanceTypeStable, Value: "Standard_NC64as_T4_v3"},
		Memory: model.Nominal(16), Capability: model.Capability{Major: 7, Minor: 5},
	}
	for name, tc := range map[string]struct {
		count  string
		labels []string
		want   model.GPUs
	}{
		"none":                {"0", a100(), model.GPUs{}},
		"what was discovered": {"1", a100(), discovered},
		"what was discovered before what is published": {"1", append(a100(), corev1.LabelInstanceTypeStable+"=Standard_NC64as_T4_v3"), discovered},
		"what is published":                            {"4", []string{corev1.LabelInstanceTypeStable + "=Standard_NC64as_T4_v3"}, published},
		"one card that several pods share":             {"4", append(a100(), "nvidia.com/gpu.replicas=4"), shared},
		"nothing but their number":                     {"2", nil, model.GPUs{Count: 2}},
		"labels that say nothing":                      {"2", []string{"nvidia.com/gpu.memory=lots", "nvidia.com/gpu.compute.major=-8"}, model.GPUs{Count: 2}},
		"a type that nobody knows":                     {"2", []string{corev1.LabelInstanceTypeStable + "=huge"}, model.GPUs{Count: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, gpus(withGPUs(testkit.Node("n1"), tc.count, tc.labels...), types)); diff != "" {
				t.Errorf("GPUs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAGPUModelIsPlannedForVLLM(t *testing.T) {
	t.Parallel()
	ws := testkit.Workspace("default", "phi4")
	ws.Inference.Preset.Name = "phi-4-mini-instruct"
	p := planner(t)
	p.Images.Engines = map[string]string{"llamacpp": "llamacpp", "vllm": "vllm/vllm-openai:v0"}
	p.Sources.Hub = "https://hub.example"
	o := observed{ws: ws, nodes: []corev1.Node{*withGPUs(testkit.Node("n1"), "1", a100()...)}}
	d := p.decide(o)
	if d.serving == nil {
		t.Fatalf("not served: %s", d.accepted.Message)
	}
	if d.serving.Images.Engine != "vllm/vllm-openai:v0" || d.serving.Command.Args[0] != "vllm" {
		t.Errorf("engine %q is started by %q", d.serving.Images.Engine, d.serving.Command.Args)
	}
	want := render.Weights{Fetch: &contract.Weights{Dir: "/weights/model", Bytes: int64(d.serving.Model.Forms[model.FormHF].Size), Hub: &contract.WeightsHub{
		Endpoint: "https://hub.example", Repository: "microsoft/Phi-4-mini-instruct", Revision: "main",
	}}}
	if diff := cmp.Diff(want, d.serving.Weights); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
	plan := d.status(ws, metav1.Unix(1000, 0)).Plan
	if diff := cmp.Diff(&v1beta1.ParallelismStatus{Tensor: 1, Pipeline: 1, Data: 1}, plan.Parallelism); diff != "" || *plan.GPUs != 1 || plan.Engine != "vllm" {
		t.Errorf("%d GPUs with %s, parallelism (-want +got):\n%s", *plan.GPUs, plan.Engine, diff)
	}
	if got := plan.Memory.Weights.Value() >> 30; got != 7 {
		t.Errorf("the weights take %d GiB of the GPU, want 7", got)
	}
	o.nodes[0].Labels["nvidia.com/gpu.compute.major"] = "7"
	if d := p.decide(o); d.accepted.Reason != v1beta1.ReasonDoesNotFit || !strings.Contains(d.accepted.Message, "compute capability 7.0") {
		t.Errorf("got %s: %s", d.accepted.Reason, d.accepted.Message)
	}
}

func TestWhatAPlanForGPUsSays(t *testing.T) {
	t.Parallel()
	t4 := []string{"nvidia.com/gpu.product=Tesla-T4", "nvidia.com/gpu.memory=15360", "nvidia.com/gpu.compute.major=7", "nvidia.com/gpu.compute.minor=5"}
	token := &v1beta1.PresetOptions{ModelAccessSecret: "hub-token"}
	for name, tc := range map[string]struct {
		preset  string
		options *v1beta1.PresetOptions
		labels  []string
		want    string
		lacks   string
	}{
		"a gated model needs a token":              {"llama-3.1-8b-instruct", nil, a100(), "only to accounts that accepted its licence: name a Secret with the key HF_TOKEN", ""},
		"with a token there is nothing to say":     {"llama-3.1-8b-instruct", token, a100(), "", "Secret"},
		"a context that does not fit":              {"phi-3-mini-128k-instruct", nil, t4, "the plan: the context is what fits: the model's 131072 fit on 1 GPU with 80 GB", ""},
		"a card that is not used":                  {"smollm2-135m-instruct", nil, []string{"nvidia.com/gpu.product=Tesla-V100", "nvidia.com/gpu.memory=16384", "nvidia.com/gpu.compute.major=7"}, "its GPUs are not used: the GPUs of node", ""},
		"a model image of the user's own is asked": {"llama-3.1-8b-instruct", &v1beta1.PresetOptions{Image: "registry.example/llama:hf"}, a100(), "", "Secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ws := testkit.Workspace("default", "w")
			ws.Inference.Preset.Name, ws.Inference.Preset.PresetOptions = tc.preset, tc.options
			d := planner(t).decide(observed{ws: ws, nodes: []corev1.Node{*withGPUs(testkit.Node("n1"), "1", tc.labels...)}})
			if got := d.accepted.Message; d.serving == nil || !strings.Contains(got, tc.want) || tc.lacks != "" && strings.Contains(got, tc.lacks) {
				t.Errorf("%q, want %q and not %q", got, tc.want, tc.lacks)
			}
		})
	}
}
