package workspace

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/render"
	"kaito.sh/kaito/internal/runner/contract"
	"kaito.sh/kaito/internal/testkit"
)

func TestWhereWeightsComeFrom(t *testing.T) {
	t.Parallel()
	const size = 98362432
	young, old := *testkit.Node("n1"), *testkit.Node("n2", testkit.Versions("v1.37.2", "containerd://1.7.27"))
	leaving := *old.DeepCopy()
	leaving.DeletionTimestamp = new(metav1.Unix(1, 0))
	away := *testkit.Node("n3", testkit.Versions("v1.34.0", "containerd://2.1.0"), testkit.NotReady)
	with := func(o v1beta1.PresetOptions, preset string) func(*v1beta1.Workspace) {
		return func(ws *v1beta1.Workspace) {
			ws.Inference.Preset.PresetOptions = &o
			ws.Inference.Preset.Name = cmp.Or(preset, ws.Inference.Preset.Name)
		}
	}
	for name, tc := range map[string]struct {
		preset  string
		options v1beta1.PresetOptions
		nodes   []corev1.Node
		want    render.Weights
		secrets []string
	}{
		"every node mounts images": {
			nodes: []corev1.Node{young},
			want:  render.Weights{Image: "registry.local:5000/kaito/models/smollm2-135m-instruct:gguf"}, secrets: []string{"everybodys"},
		},
		"one node of two is too old to": {
			nodes: []corev1.Node{young, old},
			want: render.Weights{Fetch: &contract.Weights{Dir: "/weights/model", Bytes: size, Image: &contract.WeightsImage{
				Reference: "registry.local:5000/kaito/models/smollm2-135m-instruct:gguf", PlainHTTP: true,
				Credentials: []string{"/etc/kaito-secrets/pull/everybodys/.dockerconfigjson"},
			}}}, secrets: []string{"everybodys"},
		},
		"a node that is away for a while counts": {
			nodes: []corev1.Node{young, away},
			want: render.Weights{Fetch: &contract.Weights{Dir: "/weights/model", Bytes: size, Image: &contract.WeightsImage{
				Reference: "registry.local:5000/kaito/models/smollm2-135m-instruct:gguf", PlainHTTP: true,
				Credentials: []string{"/etc/kaito-secrets/pull/everybodys/.dockerconfigjson"},
			}}}, secrets: []string{"everybodys"},
		},
		"a node that is being deleted does not": {
			nodes: []corev1.Node{young, leaving},
			want:  render.Weights{Image: "registry.local:5000/kaito/models/smollm2-135m-instruct:gguf"}, secrets: []string{"everybodys"},
		},
		"the user names image and Secrets": {
			options: v1beta1.PresetOptions{Image: "registry.example/m:1", ImagePullSecrets: []string{"mine", "everybodys"}},
			nodes:   []corev1.Node{young},
			want:    render.Weights{Image: "registry.example/m:1"}, secrets: []string{"mine", "everybodys"},
		},
		"the hub has them": {
			preset: "mistral-7b-instruct-v0.3", nodes: []corev1.Node{young},
			want: render.Weights{Fetch: &contract.Weights{Dir: "/weights/model", Bytes: 14500883334, Hub: &contract.WeightsHub{
				Endpoint: "https://huggingface.co", Repository: "mistralai/Mistral-7B-Instruct-v0.3", Revision: "main",
			}}}, secrets: []string{"everybodys"},
		},
		"the hub has them, for accounts": {
			preset: "llama-3.1-8b-instruct", options: v1beta1.PresetOptions{ModelAccessSecret: "hub"}, nodes: []corev1.Node{young},
			want: render.Weights{TokenSecret: "hub", Fetch: &contract.Weights{Dir: "/weights/model", Bytes: 16068546397, Hub: &contract.WeightsHub{
				Endpoint: "https://huggingface.co", Repository: "meta-llama/Llama-3.1-8B-Instruct", Revision: "main", TokenFile: "/etc/kaito-secrets/hub/HF_TOKEN",
			}}}, secrets: []string{"everybodys"},
		},
		"the user's image comes before the hub": {
			preset: "llama-3.1-8b-instruct", options: v1beta1.PresetOptions{Image: "registry.example/llama:1"}, nodes: []corev1.Node{young},
			want: render.Weights{Image: "registry.example/llama:1"}, secrets: []string{"everybodys"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := planner(t)
			p.Sources.PlainHTTP, p.Sources.PullSecrets = true, []string{"everybodys"}
			nodes := slices.Clone(tc.nodes)
			if tc.preset != "" {
				nodes[0] = *withGPUs(nodes[0].DeepCopy(), "1", a100()...)
			}
			d := p.decide(observed{ws: workspace(with(tc.options, tc.preset)), nodes: nodes})
			if d.serving == nil {
				t.Fatalf("not served: %s", d.inference.Message)
			}
			if diff := gocmp.Diff(tc.want, d.serving.Weights); diff != "" {
				t.Errorf("weights (-want +got):\n%s", diff)
			}
			if diff := gocmp.Diff(tc.secrets, d.serving.PullSecrets); diff != "" {
				t.Errorf("pull secrets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsWorthKnowingOfTheWeightsIsSaid(t *testing.T) {
	t.Parallel()
	gpu := *withGPUs(testkit.Node("n1"), "1", a100()...)
	for name, tc := range map[string]struct {
		preset, token, want string
	}{
		"a gated model with one":    {"llama-3.1-8b-instruct", "hub", `Model "llama-3.1-8b-instruct" can be served`},
		"an open model without one": {"phi-4-mini-instruct", "", `Model "phi-4-mini-instruct" can be served`},
		"a token for weights that need none": {"smollm2-135m-instruct", "hub", `Model "smollm2-135m-instruct" can be served; ` +
			`inference.preset.presetOptions.modelAccessSecret is not needed, because the weights come from an image`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := planner(t).decide(observed{ws: workspace(func(ws *v1beta1.Workspace) {
				ws.Inference.Preset = &v1beta1.PresetSpec{Name: tc.preset, PresetOptions: &v1beta1.PresetOptions{ModelAccessSecret: tc.token}}
			}), nodes: []corev1.Node{gpu}})
			if diff := gocmp.Diff(tc.want, d.accepted.Message); diff != "" {
				t.Errorf("Accepted (-want +got):\n%s", diff)
			}
		})
	}
}

// The image is tried once: what a pod found out is remembered, until the user names another.
func TestAnImageWithoutAModelIsIgnored(t *testing.T) {
	t.Parallel()
	const legacy = "registry.example/legacy:1"
	name := func(image string) func(*v1beta1.Workspace) {
		return func(ws *v1beta1.Workspace) { ws.Inference.Preset.PresetOptions = &v1beta1.PresetOptions{Image: image} }
	}
	o := observed{ws: workspace(name(legacy)), nodes: []corev1.Node{*testkit.Node("n1")}}
	stands := func(d decision) *appsv1.StatefulSet {
		return &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Name: "chat", Generation: 1, Annotations: render.StatefulSet(*d.serving).Annotations},
			Status:     appsv1.StatefulSetStatus{ObservedGeneration: 1, UpdatedReplicas: 1},
		}
	}
	see := func(what string, d decision, image, ignored string, warnings int) {
		t.Helper()
		if w := d.serving.Weights; w.Image != image || w.Ignored != ignored || len(d.warnings) != warnings {
			t.Errorf("%s: weights from %q, ignored %q, %d warnings; want %q, %q, %d", what, w.Image, w.Ignored, len(d.warnings), image, ignored, warnings)
		}
	}
	const ours = "registry.local:5000/kaito/models/smollm2-135m-instruct:gguf"
	first := planner(t).decide(o)
	see("at first", first, legacy, "", 0)

	o.server, o.pods = stands(first), []corev1.Pod{left("WeightsMissing", "the engine needs a file that is not there")}
	found := planner(t).decide(o)
	see("once a pod found no model", found, ours, legacy, 1)
	if diff := gocmp.Diff(v1beta1.ImageIgnored(legacy), found.warnings[0]); diff != "" {
		t.Errorf("warning (-want +got):\n%s", diff)
	}
	if found.inference.Reason != v1beta1.ReasonInferencePending {
		t.Errorf("InferenceReady has the reason %s, want %s: what the pod misses is of the past", found.inference.Reason, v1beta1.ReasonInferencePending)
	}
	if want := `Model "smollm2-135m-instruct" can be served; inference.preset.presetOptions.image "registry.example/legacy:1" is ignored, because it holds no model`; found.accepted.Message != want {
		t.Errorf("Accepted says %q, want %q", found.accepted.Message, want)
	}

	o.server = stands(found)
	see("later", planner(t).decide(o), ours, legacy, 0)
	o.pods = nil
	see("with a new pod", planner(t).decide(o), ours, legacy, 0)
	name("registry.example/other:1")(o.ws)
	o.pods = []corev1.Pod{left("WeightsMissing", "of the pod before")}
	see("with another image", planner(t).decide(o), "registry.example/other:1", "", 0)
}
