package workspace

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

// withAdapters is a Workspace with adapters.
func withAdapters(all ...v1beta1.AdapterSpec) func(*v1beta1.Workspace) {
	return func(ws *v1beta1.Workspace) { ws.Inference.Adapters = all }
}

func fromImage(name, image string, secrets ...string) v1beta1.AdapterSpec {
	return v1beta1.AdapterSpec{Source: &v1beta1.DataSource{Name: name, Image: image, ImagePullSecrets: secrets}}
}

func fromVolume(name, source string) v1beta1.AdapterSpec {
	return v1beta1.AdapterSpec{Source: &v1beta1.DataSource{Name: name, VolumeSource: &runtime.RawExtension{Raw: []byte(source)}}}
}

func TestAdaptersThatCannotBeServedAreRefusedWithWhatHelps(t *testing.T) {
	t.Parallel()
	template := func(ws *v1beta1.Workspace) {
		ws.Inference.Preset = nil
		ws.Inference.Template = &runtime.RawExtension{Raw: []byte(`{"spec":{"containers":[{"name":"c","image":"i"}]}}`)}
	}
	for name, tc := range map[string]struct {
		edits []func(*v1beta1.Workspace)
		want  string
	}{
		"the model's own id": {
			[]func(*v1beta1.Workspace){withAdapters(fromImage("a", "h/a:1"), fromImage("smollm2-135m-instruct", "h/b:1"))},
			`inference.adapters[1].source.name "smollm2-135m-instruct" is a name of the model itself: give the adapter another one`,
		},
		"a name that no file can have": {
			[]func(*v1beta1.Workspace){withAdapters(fromImage(strings.Repeat("a", 253), "h/a:1"))},
			`inference.adapters[0].source.name has 253 characters: at most 200 can be used`,
		},
		"an image that is none": {
			[]func(*v1beta1.Workspace){withAdapters(fromImage("a", "h/A b"))},
			`inference.adapters[0].source.image "h/A b" is no image: write REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST`,
		},
		"a volume that is none": {
			[]func(*v1beta1.Workspace){withAdapters(fromVolume("a", `{"persistentVolumeClaim":{"claim":"mine"}}`))},
			"inference.adapters[0].source.volumeSource cannot be used: persistentVolumeClaim.claim is no field of a pod: correct its name or leave it out; `kubectl explain pod.spec.volumes.persistentVolumeClaim` lists what there is",
		},
		"beside a template": {
			[]func(*v1beta1.Workspace){withAdapters(fromImage("a", "h/a:1")), template},
			"inference.adapters goes with inference.preset: the containers of inference.template load what you tell them to; leave one of the two out",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := planner(t).decide(observed{ws: workspace(tc.edits...), nodes: []corev1.Node{*testkit.Node("n1")}})
			if c := got.accepted; c.Reason != v1beta1.ReasonInvalidAdapter || c.Message != tc.want || !got.final || got.serving != nil {
				t.Errorf("%s: %s\nwant %s", c.Reason, c.Message, tc.want)
			}
		})
	}
}

func TestAnEngineThatTakesNoAdaptersOfAModelIsNamed(t *testing.T) {
	t.Parallel()
	p, o := planner(t), observed{ws: workspace(withAdapters(fromImage("mine", "h/a:1"))), nodes: []corev1.Node{*testkit.Node("n1")}}
	wanted := p.decide(o).serving
	th := &thought{observed: o, adapters: wanted.Adapters, model: wanted.Model}
	if th.refuseUnserved(wanted.Plan) {
		t.Fatalf("refused: %s", th.accepted.Message)
	}
	th.model.ID, th.model.Architectures = "odd", []string{"Qwen2ForCausalLM"}
	const want = `Adapter "mine" cannot be served on these nodes: llama.cpp, which serves model "odd" on a CPU, takes adapters of LlamaForCausalLM only, and this is a Qwen2ForCausalLM: let the label selector choose nodes with GPUs, where vLLM serves it`
	if !th.refuseUnserved(wanted.Plan) || th.accepted.Message != want || !th.final {
		t.Errorf("%s", th.accepted.Message)
	}
	wanted.Plan.Engine = "vllm"
	if th.refuseUnserved(wanted.Plan) {
		t.Error("vLLM takes it")
	}
}

func TestAdaptersAreServedBesideTheModel(t *testing.T) {
	t.Parallel()
	half := "0.5"
	weak := fromVolume("stern", `{"persistentVolumeClaim":{"claimName":"stern"}}`)
	weak.Strength = &half
	p := planner(t)
	p.Sources.PullSecrets, p.Sources.PlainHTTP = []string{"all"}, true
	got := p.decide(observed{ws: workspace(withAdapters(fromImage("harbour", "h/a:1", "push"), weak)), nodes: []corev1.Node{*testkit.Node("n1")}})
	if got.serving == nil {
		t.Fatalf("%+v", got.accepted)
	}
	var brief []string
	for _, a := range got.serving.Adapters {
		brief = append(brief, fmt.Sprintf("%s image=%s secrets=%v plain=%v strength=%s volume=%v", a.Name, a.Image, a.Secrets, a.PlainHTTP, a.Strength, a.Volume != nil))
	}
	want := []string{"harbour image=h/a:1 secrets=[push] plain=true strength= volume=false", "stern image= secrets=[] plain=false strength=0.5 volume=true"}
	if diff := cmp.Diff(want, brief); diff != "" {
		t.Errorf("adapters (-want +got):\n%s", diff)
	}
	line := strings.Join(got.serving.Command.Args, " ")
	if !strings.Contains(line, "--lora-scaled /adapters/harbour.gguf:0,/adapters/stern.gguf:0") {
		t.Errorf("command: %s", line)
	}
	if !strings.Contains(got.accepted.Message, "adapters of ranks up to 64 are planned for") || got.serving.Plan.Memory.Adapters == 0 {
		t.Errorf("accepted: %s; %s for adapters", got.accepted.Message, got.serving.Plan.Memory.Adapters)
	}
}

func TestAPodWithoutItsAdaptersSaysWhy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ said, reason, want string }{
		"one that does not fit": {
			`{"reason":"AdapterUnusable","message":"adapter \"mine\" from image h/a:1: use_dora is true","exitCode":2,"phase":"adapters"}`,
			v1beta1.ReasonAdapterUnusable, `Pod "chat-0" cannot use an adapter: adapter "mine" from image h/a:1: use_dora is true`,
		},
		"a registry that is silent": {
			`{"reason":"AdapterUnreachable","message":"adapter \"mine\" from image h/a:1: no route to host","exitCode":1,"phase":"adapters"}`,
			v1beta1.ReasonAdapterUnreachable,
			`Pod "chat-0" does not get an adapter, and tries again by itself: adapter "mine" from image h/a:1: no route to host; see that pods of this namespace reach the registry`,
		},
		"a full disk": {
			`{"reason":"DiskFull","message":"adapter \"mine\" from image h/a:1: no space left on device","exitCode":1,"phase":"adapters"}`,
			v1beta1.ReasonDiskFull,
			`Pod "chat-0" has no room for the adapters: adapter "mine" from image h/a:1: no space left on device; free some of the disk of node "n1", or use another node`,
		},
		"something that nobody knows": {
			`{"reason":"Internal","message":"oh","exitCode":1,"phase":"adapters"}`,
			v1beta1.ReasonContainerCrashLoop, "Container \"adapters\" of pod \"chat-0\" ends again and again: oh; see `kubectl logs --previous chat-0 -c adapters`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := crashed("Error", tc.said)
			pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses = pod.Status.ContainerStatuses, nil
			pod.Status.InitContainerStatuses[0].Name = "adapters"
			got := planner(t).decide(observed{
				ws: workspace(withAdapters(fromImage("mine", "h/a:1"))), nodes: []corev1.Node{*testkit.Node("n1")}, pods: []corev1.Pod{pod},
			})
			if got.inference.Reason != tc.reason || got.inference.Message != tc.want {
				t.Errorf("%s: %s\nwant %s: %s", got.inference.Reason, got.inference.Message, tc.reason, tc.want)
			}
		})
	}
	t.Run("a pod that brings them says so", func(t *testing.T) {
		t.Parallel()
		pod := waitingPod("PodInitializing", "")
		pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "adapters", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		got := planner(t).decide(observed{
			ws: workspace(withAdapters(fromImage("mine", "h/a:1"))), nodes: []corev1.Node{*testkit.Node("n1")}, pods: []corev1.Pod{pod},
		})
		if !strings.HasSuffix(got.inference.Message, "adapters are being brought to node n1") {
			t.Errorf("%s", got.inference.Message)
		}
	})
}
