package config_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"kaito.sh/kaito/internal/config"
)

// good are the flags that must be given.
func good() []string {
	return []string{
		"--runner-image=registry.local:5000/kaito/runner:dev",
		"--llamacpp-image=registry.local:5000/kaito/llamacpp@sha256:" + strings.Repeat("a", 64),
		"--gate-image=registry.local:5000/kaito/gate:dev",
		"--tuner-image=registry.local:5000/kaito/tuner:dev",
		"--models=registry.local:5000/kaito/models",
	}
}

func parse(t *testing.T, args ...string) config.Operator {
	t.Helper()
	var o config.Operator
	flags := pflag.NewFlagSet("operator", pflag.ContinueOnError)
	o.Bind(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got := parse(t, good()...)
	if err := got.Check(); err != nil {
		t.Fatal(err)
	}
	want := config.Operator{
		RunnerImage:      "registry.local:5000/kaito/runner:dev",
		LlamacppImage:    "registry.local:5000/kaito/llamacpp@sha256:" + strings.Repeat("a", 64),
		GateImage:        "registry.local:5000/kaito/gate:dev",
		TunerImage:       "registry.local:5000/kaito/tuner:dev",
		TunerGPUImage:    "registry.local:5000/kaito/tuner-gpu:dev",
		Models:           "registry.local:5000/kaito/models",
		VLLMImage:        "vllm/vllm-openai:v0.33.0",
		VLLMROCmImage:    "vllm/vllm-openai-rocm:v0.33.0",
		AMDGroups:        []int64{44, 109},
		HubEndpoint:      "https://huggingface.co",
		HubModels:        true,
		NodeProvisioning: true,
		MetricsAddress:   ":8080", HealthAddress: ":8081", LogLevel: "info",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	if level, err := got.Level(); err != nil || level != slog.LevelInfo {
		t.Errorf("level is %v, %v; want info", level, err)
	}
}

func TestCheckSaysWhatDoesNotDo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ flag, want string }{
		"an image with capitals":            {"--runner-image=Registry/Kaito:dev", `--runner-image is "Registry/Kaito:dev", which is no image`},
		"no image":                          {"--llamacpp-image=", "--llamacpp-image is missing"},
		"a digest that is cut off":          {"--llamacpp-image=registry.local/llamacpp@sha256:abc", "which is no image"},
		"no prefix of model images":         {"--models=", "--models is missing"},
		"a prefix with a slash at its end":  {"--models=registry.local:5000/models/", "no prefix of a repository"},
		"a prefix with a tag":               {"--models=registry.local:5000/models:gguf", "no prefix of a repository"},
		"a hub without a scheme":            {"--hub-endpoint=huggingface.co", "say an address such as https://huggingface.co"},
		"a hub with a password":             {"--hub-endpoint=https://a:b@hub.example", "say an address such as"},
		"a secret with a name in capitals":  {"--pull-secret=ok,Not", `--pull-secret "Not" is no name of a Secret`},
		"an image of vLLM that is none":     {"--vllm-image=vllm openai", `--vllm-image is "vllm openai", which is no image`},
		"a group that is root's":            {"--amd-groups=44,0", "--amd-groups 0 is no group"},
		"no gate":                           {"--gate-image=", "--gate-image is missing"},
		"a trainer that is no image":        {"--tuner-gpu-image=Tuner", `--tuner-gpu-image is "Tuner", which is no image`},
		"an address instead of a range":     {"--fetch-allow-cidrs=10.0.0.0/8,10.1.2.3", `--fetch-allow-cidrs "10.1.2.3" is no range of addresses`},
		"a level that nobody knows":         {"--log-level=chatty", "say debug, info, warn or error"},
		"a leader without a place to stand": {"--leader-elect", "--leader-elect needs --namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := parse(t, append(good(), tc.flag)...)
			if err := o.Check(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an answer that says %q", err, tc.want)
			}
		})
	}
}

func TestCheckSaysEverythingAtOnce(t *testing.T) {
	t.Parallel()
	o := parse(t, "--log-level=chatty")
	err := o.Check()
	for _, want := range []string{"--runner-image", "--llamacpp-image", "--gate-image", "--tuner-image", "--models", "--log-level"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an answer that names %s", err, want)
		}
	}
}
