package workspace

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/model"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/testkit"
)

// withGPUs gives a node GPUs and the labels of its discovery, as key=value.
func withGPUs(n *corev1.Node, count string, labels ...string) *corev1.Node {
	n.Status.Allocatable[model.ResourceNVIDIA] = resource.MustParse(count)
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

// slicesOf makes a node offer slices beside its whole GPUs, and the labels of mixed discovery.
func slicesOf(n *corev1.Node, profile, count string) *corev1.Node {
	resourceName := corev1.ResourceName(model.ResourceSlice + profile)
	n.Status.Allocatable[resourceName] = resource.MustParse(count)
	metav1.SetMetaDataLabel(&n.ObjectMeta, string(resourceName)+".product", "NVIDIA-A100-SXM4-80GB-MIG-"+profile)
	metav1.SetMetaDataLabel(&n.ObjectMeta, string(resourceName)+".memory", "40192")
	return n
}

func TestAPartOfANode(t *testing.T) {
	t.Parallel()
	whole := func() *corev1.Node { return withGPUs(testkit.Node("n1"), "8", a100()...) }
	amd := func() *corev1.Node {
		n := withGPUs(testkit.Node("n1"), "0")
		n.Status.Allocatable[model.ResourceAMD] = resource.MustParse("8")
		metav1.SetMetaDataLabel(&n.ObjectMeta, "amd.com/gpu.product-name", "AMD_Instinct_MI300X_OAM")
		metav1.SetMetaDataLabel(&n.ObjectMeta, "amd.com/gpu.vram", "192G")
		return n
	}
	mig := &v1beta1.PartitionSpec{Mode: v1beta1.PartitionMIG, Profile: "3g.40gb"}
	some := func(n int32) *v1beta1.PartitionSpec {
		return &v1beta1.PartitionSpec{Mode: v1beta1.PartitionAccelerator, Count: n}
	}
	for name, tc := range map[string]struct {
		node  *corev1.Node
		part  *v1beta1.PartitionSpec
		want  string // GPUs, resource, image
		taint string
		says  string // where it is refused
	}{
		"whole GPUs":                            {whole(), nil, "1 nvidia.com/gpu nvidia", "", ""},
		"a slice that is asked for":             {slicesOf(whole(), "3g.40gb", "2"), mig, "1 nvidia.com/mig-3g.40gb nvidia", "nvidia.com/mig-3g.40gb", ""},
		"whole GPUs before slices":              {slicesOf(whole(), "3g.40gb", "2"), nil, "1 nvidia.com/gpu nvidia", "", ""},
		"some of the GPUs":                      {whole(), some(4), "4 nvidia.com/gpu nvidia", "", ""},
		"some of AMD's":                         {amd(), some(2), "2 amd.com/gpu amd", "amd.com/gpu", ""},
		"GPUs of AMD's":                         {amd(), nil, "1 amd.com/gpu amd", "amd.com/gpu", ""},
		"slices of another profile":             {slicesOf(whole(), "1g.10gb", "7"), mig, "", "", `No node offers slices 3g.40gb, which resource.partition asks for`},
		"slices of AMD's":                       {amd(), mig, "", "", `node "n1" has 8 x AMD Instinct MI300X OAM`},
		"more than there are":                   {whole(), some(16), "", "", `No node offers 16 whole GPUs, which resource.partition asks for: node "n1" has 8 x NVIDIA A100 SXM4 80GB`},
		"a number that the heads do not divide": {whole(), some(5), "", "", `cannot be spread over 5 GPUs of node "n1"`},
		"a part of a node without GPUs":         {testkit.Node("n1"), some(1), "", "", `node "n1" has no GPUs`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := planner(t)
			p.AMDGroups = []int64{44, 109}
			p.Images.Engines, p.Images.ROCm = map[string]string{"vllm": "nvidia"}, map[string]string{"vllm": "amd"}
			ws := workspace(func(ws *v1beta1.Workspace) {
				ws.Inference.Preset.Name, ws.Resource.Partition = "phi-4-mini-instruct", tc.part
			})
			d := p.decide(observed{ws: ws, nodes: []corev1.Node{*tc.node}})
			if d.serving == nil {
				if tc.says == "" || d.accepted.Reason != v1beta1.ReasonDoesNotFit || !strings.Contains(d.accepted.Message, tc.says) || !d.final {
					t.Errorf("refused with %s: %s; want %q", d.accepted.Reason, d.accepted.Message, tc.says)
				}
				return
			}
			spec := render.StatefulSet(*d.serving).Spec.Template.Spec
			got := ""
			for name, amount := range *spec.Containers[0].Resources.Limits {
				if isGPU(name) {
					got = fmt.Sprintf("%s %s %s", amount.String(), name, *spec.Containers[0].Image)
				}
			}
			if got != tc.want {
				t.Errorf("the engine gets %q, want %q", got, tc.want)
			}
			if last := *spec.Tolerations[len(spec.Tolerations)-1].Key; tc.taint != "" && last != tc.taint {
				t.Errorf("the last toleration is of %s, want %s", last, tc.taint)
			}
			if opens := len(spec.SecurityContext.SupplementalGroups) > 0; opens != strings.HasSuffix(tc.want, " amd") {
				t.Errorf("supplemental groups are %v", spec.SecurityContext.SupplementalGroups)
			}
		})
	}
}

// onGPUs is a pod of a Workspace that has GPUs of a node.
func onGPUs(ws, node, count string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: ws + "-0", Labels: map[string]string{v1beta1.LabelWorkspace: ws}},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{model.ResourceNVIDIA: resource.MustParse(count)}},
		}}},
	}
}

func TestWhatOthersHaveOfANodeIsLeftToThem(t *testing.T) {
	t.Parallel()
	t4 := []string{"nvidia.com/gpu.product=Tesla-T4", "nvidia.com/gpu.memory=15360", "nvidia.com/gpu.compute.major=7", "nvidia.com/gpu.compute.minor=5"}
	ws := workspace(func(ws *v1beta1.Workspace) { ws.Inference.Preset.Name = "llama-3.1-8b-instruct" }) // four T4 hold its whole context
	node := withGPUs(testkit.Node("n1"), "8", t4...)
	see := func(others string, server *appsv1.StatefulSet, pods ...corev1.Pod) decision {
		o := observed{ws: ws, nodes: []corev1.Node{*node}, server: server, pods: pods}
		o.take("n1", onGPUs("other", "n1", others).Spec.Containers[0].Resources.Requests)
		return planner(t).decide(o)
	}
	squeezed := see("6", nil)
	if n := squeezed.serving.Plan.GPUs(); n != 2 || !strings.Contains(squeezed.accepted.Message, "planned for the 2 of 8 x Tesla T4 that pods of others leave free") {
		t.Errorf("beside 6 that are taken: %d GPUs, %s", n, squeezed.accepted.Message)
	}
	applied := render.StatefulSet(*squeezed.serving)
	server := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: ws.Name, Annotations: applied.Annotations}}
	if applied.Annotations[v1beta1.AnnotationGPUsOfNode] != "2 nvidia.com/gpu" {
		t.Errorf("annotations %v", applied.Annotations)
	}
	if d := see("0", server, onGPUs(ws.Name, "n1", "2")); d.serving.Plan.GPUs() != 2 || render.StatefulSet(*d.serving).Annotations[v1beta1.AnnotationConfigHash] != applied.Annotations[v1beta1.AnnotationConfigHash] {
		t.Errorf("once the others left, its server is stopped for %d GPUs", d.serving.Plan.GPUs())
	}
	if d := see("0", server); d.serving.Plan.GPUs() != 4 {
		t.Errorf("a server that does not run is planned for %d GPUs, not anew", d.serving.Plan.GPUs())
	}
	if d := see("8", nil); d.serving.Plan.GPUs() != 4 || !strings.Contains(d.accepted.Message, "it waits for 4 x Tesla T4: pods of others have 8 of the 8 of a node") {
		t.Errorf("where nothing is free: %d GPUs, %s", d.serving.Plan.GPUs(), d.accepted.Message)
	}
}

func TestBetterGPUsAreLeftToThoseWhoHadThem(t *testing.T) {
	t.Parallel()
	ws := workspace(func(ws *v1beta1.Workspace) { ws.Inference.Preset.Name = "llama-3.1-8b-instruct" })
	better := withGPUs(testkit.Node("a100"), "1", a100()...)
	worse := withGPUs(testkit.Node("t4"), "8", "nvidia.com/gpu.product=Tesla-T4", "nvidia.com/gpu.memory=15360", "nvidia.com/gpu.compute.major=7", "nvidia.com/gpu.compute.minor=5")
	see := func(others string, server *appsv1.StatefulSet, pods ...corev1.Pod) decision {
		o := observed{ws: ws, nodes: []corev1.Node{*better, *worse}, server: server, pods: pods}
		o.take("a100", onGPUs("other", "a100", others).Spec.Containers[0].Resources.Requests)
		return planner(t).decide(o)
	}
	first := see("1", nil)
	if first.serving.Plan.GPU.Product != "Tesla T4" || !strings.Contains(first.accepted.Message, "pods of others have GPUs that would hold more") {
		t.Fatalf("planned for %+v: %s", first.serving.Plan.GPU, first.accepted.Message)
	}
	applied := render.StatefulSet(*first.serving)
	server := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: ws.Name, Annotations: applied.Annotations}}
	if d := see("0", server, onGPUs(ws.Name, "t4", "4")); d.serving.Plan.GPU.Product != "Tesla T4" {
		t.Errorf("a server that runs is moved to %+v as soon as it is free", d.serving.Plan.GPU)
	}
	if d := see("0", server); d.serving.Plan.GPU.Product == "Tesla T4" {
		t.Error("a server that does not run stays where it was planned for")
	}
	if d := see("0", server, onGPUs(ws.Name, "gone", "4")); d.serving.Plan.GPU.Product == "Tesla T4" {
		t.Error("a server whose node is gone is not planned anew")
	}
}

func TestANodeWithGPUsOfAMDsIsAskedFor(t *testing.T) {
	t.Parallel()
	ws := workspace(testkit.InstanceType("Standard_ND96isr_MI300X_v5"), testkit.Preset("llama-3.3-70b-instruct"))
	d := planner(t).decide(demanded(ws, nil))
	if d.accepted.Status != metav1.ConditionTrue {
		t.Fatal(d.accepted.Message)
	}
	asked := render.NodeClaim(d.wish.node).Spec.Resources.Requests
	if gpus := asked["amd.com/gpu"]; gpus.Value() != 8 || len(asked) != 2 {
		t.Errorf("it asks for %v", asked)
	}
	ws.Resource.InstanceType = "Standard_NG32ads_V620_v1"
	if d := planner(t).decide(demanded(ws, nil)); d.accepted.Reason != v1beta1.ReasonDoesNotFit || !strings.Contains(d.accepted.Message, `instance type "Standard_NG32ads_V620_v1", AMD Radeon PRO V620, are gfx1030`) {
		t.Errorf("%s: %s", d.accepted.Reason, d.accepted.Message)
	}
}

func TestOnlyGPUsOfAPodAreKept(t *testing.T) {
	t.Parallel()
	ask := func(gpus string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{model.ResourceNVIDIA: resource.MustParse(gpus), corev1.ResourceCPU: resource.MustParse("2")}}
	}
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		NodeName: "n1", InitContainers: []corev1.Container{{Name: "prepare", Image: "i"}, {Name: "train", Resources: ask("1")}},
		Containers: []corev1.Container{{Name: "publish", Env: []corev1.EnvVar{{Name: "a"}}}},
	}}
	kept, err := shrinkPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	want := corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{model.ResourceNVIDIA: resource.MustParse("1")}}}}}
	if diff := cmp.Diff(want, kept.(*corev1.Pod).Spec); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	pod.Spec.InitContainers = nil
	if kept, _ := shrinkPod(pod); kept.(*corev1.Pod).Spec.Containers != nil {
		t.Error("containers without GPUs are kept")
	}
}
