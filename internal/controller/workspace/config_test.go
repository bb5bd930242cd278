package workspace

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kaito.sh/kaito/api/v1beta1"
	"kaito.sh/kaito/internal/testkit"
)

// configured is what is observed of a Workspace that names the ConfigMap "settings".
func configured(data map[string]string) observed {
	o := observed{
		ws:    workspace(func(ws *v1beta1.Workspace) { ws.Inference.Config = "settings" }),
		nodes: []corev1.Node{*testkit.Node("n1")},
	}
	if data != nil {
		o.config = &corev1.ConfigMap{Data: data}
	}
	return o
}

func TestSettingsThatCannotBeUsedAreToldWithPlaceAndFix(t *testing.T) {
	t.Parallel()
	of := func(text string) map[string]string { return map[string]string{v1beta1.ConfigKeyInference: text} }
	for name, tc := range map[string]struct {
		data   map[string]string
		reason string
		state  v1beta1.WorkspaceState
		want   string
	}{
		"no ConfigMap": {
			nil, v1beta1.ReasonConfigMapNotFound, v1beta1.StatePending,
			`ConfigMap "settings", which inference.config names, is not in this namespace: create it with the key inference_config.yaml, it is picked up at once`,
		},
		"no key": {
			map[string]string{"config.yaml": "a"},
			v1beta1.ReasonInvalidSettings, v1beta1.StateFailed,
			`ConfigMap "settings" has no key inference_config.yaml: write the settings of the engine there`,
		},
		"no YAML": {
			of("llamacpp:\n\ttemp: 1\n"), v1beta1.ReasonInvalidSettings, v1beta1.StateFailed,
			`ConfigMap "settings" cannot be used, inference_config.yaml: line 2: is no YAML`,
		},
		"an unknown flag": {
			of("vllm:\n  max-modl-len: 4096\n"), v1beta1.ReasonInvalidSettings, v1beta1.StateFailed,
			`ConfigMap "settings" cannot be used, inference_config.yaml: line 2: vllm.max-modl-len`,
		},
		"a flag that is ours": {
			of("llamacpp:\n  port: 80\n"), v1beta1.ReasonInvalidSettings, v1beta1.StateFailed,
			`ConfigMap "settings" cannot be used, inference_config.yaml: line 2: llamacpp.port is set by Kaito`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := planner(t).decide(configured(tc.data))
			if d.accepted.Reason != tc.reason || !strings.HasPrefix(d.accepted.Message, tc.want) || d.state("") != tc.state {
				t.Errorf("got %s, %s, %q; want %s, %s, %q", d.accepted.Reason, d.state(""), d.accepted.Message, tc.reason, tc.state, tc.want)
			}
			if d.serving != nil {
				t.Error("a server is wanted")
			}
		})
	}
}

func TestSettingsGoToTheEngineAndRollThePods(t *testing.T) {
	t.Parallel()
	before := planner(t).decide(configured(map[string]string{v1beta1.ConfigKeyInference: ""}))
	after := planner(t).decide(configured(map[string]string{v1beta1.ConfigKeyInference: "llamacpp:\n  temp: 0.7\n"}))
	if before.serving == nil || after.serving == nil {
		t.Fatalf("not served: %s; %s", before.inference.Message, after.inference.Message)
	}
	if i := slices.Index(after.serving.Command.Args, "--temp"); i < 0 || after.serving.Command.Args[i+1] != "0.7" {
		t.Errorf("the engine is started with %q, want --temp 0.7", after.serving.Command.Args)
	}
	if cmp.Equal(before.serving.Command.Args, after.serving.Command.Args) {
		t.Error("the change does not reach the pods")
	}
}

func TestSettingsWithoutEffectAreNamed(t *testing.T) {
	t.Parallel()
	d := planner(t).decide(configured(map[string]string{v1beta1.ConfigKeyInference: "max_probe_steps: 6\nvllm:\n  enforce-eager: true\n"}))
	want := v1beta1.Accepted("smollm2-135m-instruct",
		"inference.config: no effect has max_probe_steps (the plan computes the context; nothing is probed)",
		"inference.config: no effect has the section vllm, because llamacpp serves the model on these nodes")
	if diff := cmp.Diff(want, d.accepted); diff != "" {
		t.Errorf("Accepted (-want +got):\n%s", diff)
	}
}
