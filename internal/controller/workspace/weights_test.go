package workspace

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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
	with := func(o v1beta1.PresetOptions) func(*v1beta1.Workspace) {
		return func(ws *v1beta1.Workspace) { ws.Inference.Preset.PresetOptions = &o }
	}
	for name, tc := range map[string]struct {
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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := planner(t)
			p.Sources.PlainHTTP, p.Sources.PullSecrets = true, []string{"everybodys"}
			d := p.decide(observed{ws: workspace(with(tc.options)), nodes: tc.nodes})
			if d.serving == nil {
				t.Fatalf("not served: %s", d.inference.Message)
			}
			if diff := cmp.Diff(tc.want, d.serving.Weights); diff != "" {
				t.Errorf("weights (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.secrets, d.serving.PullSecrets); diff != "" {
				t.Errorf("pull secrets (-want +got):\n%s", diff)
			}
		})
	}
}
