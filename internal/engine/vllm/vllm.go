// Package vllm writes the command of `vllm serve`, which serves safetensors on GPUs.
// The flags are those of the version in internal/engine/flags.
package vllm

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	"kaito.sh/kaito/internal/engine"
	"kaito.sh/kaito/internal/engine/flags"
	"kaito.sh/kaito/internal/model"
)

// Name is the engine's name in plans, metrics and messages.
const Name = "vllm"

// cacheDir is where vLLM and its libraries keep what they compile, and the home
// folder, below which others write without asking.
const cacheDir = "/cache"

// stopSeconds is how long vLLM lets requests end after SIGTERM. The runner has let
// them end before, so this is for the last words only; vLLM's default of 0 cuts them.
const stopSeconds = 5

// groupSeconds is how long workers of several nodes wait for each other.
const groupSeconds = 1800

// flagExperts has GPUs that share layers keep whole experts.
const flagExperts = "enable-expert-parallel"

// NeedsParserError says that a setting needs another that nobody made.
type NeedsParserError struct {
	// Model is the id of the model.
	Model string
}

// Error says what to set.
func (e *NeedsParserError) Error() string {
	return fmt.Sprintf("vllm.enable-auto-tool-choice needs a parser for the tool calls of model %q, and the catalog names none: set vllm.tool-call-parser", e.Model)
}

// Command is the command for a plan that reads safetensors. What the user set wins
// over what is known of the model, the plan wins over both: it has heard the user.
func Command(in engine.Input) (engine.Command, error) {
	arguments := flags.Merge(known(in.Model, in.Plan), in.Settings.Arguments[Name], planned(in), adapters(in))
	if err := complete(in, arguments); err != nil {
		return engine.Command{}, err
	}
	files := []string{path.Join(in.Weights, configFile(arguments))}
	for _, a := range in.Adapters {
		files = append(files, path.Join(a.Path, "adapter_config.json"))
	}
	return engine.Command{
		Name:       Name,
		Args:       append([]string{"vllm", "serve", in.Weights}, flags.Line(arguments)...),
		Env:        environment(),
		URL:        fmt.Sprintf("http://127.0.0.1:%d", in.Port),
		HealthPath: "/health",
		CacheDir:   cacheDir,
		Files:      files,
		Group:      group(in.Plan),
	}, nil
}

// group has each pod told where the leader is and which of them it is. Those behind the
// leader run no API server (vllm/entrypoints/cli/serve.py, run_headless): each starts the
// workers of its own GPUs, which meet the leader's and are told by them what to compute.
func group(p model.Plan) *engine.Group {
	if p.Nodes <= 1 {
		return nil
	}
	return &engine.Group{
		MasterFlag: "--master-addr", PlaceFlag: "--node-rank", Followers: []string{"--headless"},
		// Without it vLLM takes the address by which it would reach the internet.
		AddressVar: "VLLM_HOST_IP",
	}
}

// configFile is the file that says what the model is: Mistral's own format has another.
func configFile(arguments []flags.Argument) string {
	for _, a := range arguments {
		if a.Flag.Name == "config-format" && slices.Equal(a.Values, []string{"mistral"}) {
			return "params.json"
		}
	}
	return "config.json"
}

// known are the flags by which vLLM serves this model well on these GPUs.
func known(m model.Model, p model.Plan) []flags.Argument {
	var all []flags.Argument
	for _, name := range slices.Sorted(maps.Keys(m.VLLM)) {
		switch value := m.VLLM[name]; {
		case name == flagExperts: // as the plan says
		case value == "true":
			all = append(all, flags.On(name))
		default:
			all = append(all, flags.Set(name, value))
		}
	}
	if p.GPU != nil && p.GPU.Experts {
		all = append(all, flags.On(flagExperts))
	}
	if p.Nodes > 1 {
		// Nodes read their weights at different speeds, and the first waits for the last: more
		// than the 10 minutes that NCCL waits by itself.
		all = append(all, flags.Set("distributed-timeout-seconds", strconv.Itoa(groupSeconds)))
	}
	if m.VLLM["tool-call-parser"] != "" {
		// Without it vLLM answers 400 to a request that leaves the choice to the model.
		all = append(all, flags.On("enable-auto-tool-choice"))
	}
	if !hasBfloat16(p) && m.Quantisation == "" {
		all = append(all, flags.Set("dtype", "float16"))
	}
	return all
}

// hasBfloat16 is false for NVIDIA's GPUs before compute capability 8.0: vLLM ends at once when
// a model asks for bfloat16 there, as nearly all do. All of AMD's that vLLM runs on have it.
func hasBfloat16(p model.Plan) bool {
	return p.GPU == nil || p.Vendor() == model.AMD || p.GPU.Capability.AtLeast(model.Capability{Major: 8})
}

// planned are the flags that no user sets, and those whose wishes the plan has heard.
func planned(in engine.Input) []flags.Argument {
	gpu := in.Plan.GPU
	if gpu == nil {
		gpu = &model.GPUPlan{Count: 1, Tensor: 1, Stages: 1, Copies: 1}
	}
	var all []flags.Argument
	if in.Settings.RemoteCode {
		all = []flags.Argument{flags.On("trust-remote-code")}
	}
	all = append(
		all,
		flags.Set("served-model-name", engine.ServedID(in.Model)),
		// Loopback: the runner stands in front, and most of vLLM's paths ask for no key.
		flags.Set("host", "127.0.0.1"),
		flags.Set("port", strconv.Itoa(in.Port)),
		flags.Set("tensor-parallel-size", strconv.Itoa(gpu.Tensor)),
		flags.Set("max-model-len", strconv.Itoa(in.Plan.Context)),
		// Each copy has its own bound.
		flags.Set("max-num-seqs", strconv.Itoa((in.Plan.Slots+in.Plan.Copies()-1)/in.Plan.Copies())),
		flags.Set("gpu-memory-utilization", strconv.FormatFloat(gpu.Utilisation, 'f', -1, 64)),
		flags.Set("shutdown-timeout", strconv.Itoa(stopSeconds)),
	)
	if gpu.Stages > 1 {
		all = append(all, flags.Set("pipeline-parallel-size", strconv.Itoa(gpu.Stages)))
	}
	if gpu.Copies > 1 {
		all = append(all, flags.Set("data-parallel-size", strconv.Itoa(gpu.Copies)))
	}
	if in.Plan.Nodes > 1 {
		// Processes of its own on every node, without Ray; the place of each pod is the runner's to add.
		all = append(
			all,
			flags.Set("nnodes", strconv.Itoa(in.Plan.Nodes)), flags.Set("master-port", strconv.Itoa(engine.MasterPort)),
			flags.Set("distributed-executor-backend", "mp"),
		)
	}
	return all
}

// adapters are loaded into the memory of the GPUs that the plan has reserved for them, and
// answer under their names.
func adapters(in engine.Input) []flags.Argument {
	if len(in.Adapters) == 0 {
		return nil
	}
	modules := flags.Argument{Flag: flags.Flag{Name: "lora-modules", Many: flags.List}}
	for _, a := range in.Adapters {
		modules.Values = append(modules.Values, a.Name+"="+a.Path)
	}
	return []flags.Argument{
		flags.On("enable-lora"),
		modules,
		flags.Set("max-lora-rank", strconv.Itoa(in.Plan.Adapters.MaxRank)),
		flags.Set("max-loras", strconv.Itoa(in.Plan.Adapters.AtOnce)),
		flags.Set("max-cpu-loras", strconv.Itoa(max(len(in.Adapters), in.Plan.Adapters.AtOnce))),
	}
}

// AdaptersAndExpertsError says that vLLM loads no adapters beside experts that are dealt out whole.
type AdaptersAndExpertsError struct {
	// Model is the id of the model.
	Model string
}

// Error says what to leave out.
func (e *AdaptersAndExpertsError) Error() string {
	return fmt.Sprintf("vllm.%s does not go together with adapters, which vLLM loads only where every GPU has a part of each expert of model %q: leave one of them out", flagExperts, e.Model)
}

// complete finds what each flag alone cannot say of itself and vLLM says only when it starts.
func complete(in engine.Input, arguments []flags.Argument) error {
	auto, parser, experts := false, false, false
	for _, a := range arguments {
		switch a.Flag.Name {
		case "enable-auto-tool-choice":
			auto = !a.Off
		case "tool-call-parser":
			parser = true
		case flagExperts:
			experts = !a.Off
		}
	}
	switch {
	case auto && !parser:
		return &NeedsParserError{Model: in.Model.ID}
	case experts && len(in.Adapters) > 0:
		return &AdaptersAndExpertsError{Model: in.Model.ID}
	}
	return nil
}

// environment keeps vLLM to itself: it reaches no hub, reports to nobody, loads no
// plug-in, follows no redirect, and writes only below cacheDir.
func environment() map[string]string {
	return map[string]string{
		"HOME":                           cacheDir,
		"USER":                           "kaito", // nobody looks the user id up in /etc/passwd
		"XDG_CACHE_HOME":                 cacheDir + "/xdg",
		"VLLM_CACHE_ROOT":                cacheDir + "/vllm",
		"VLLM_CONFIG_ROOT":               cacheDir + "/config",
		"TORCHINDUCTOR_CACHE_DIR":        cacheDir + "/inductor",
		"TRITON_CACHE_DIR":               cacheDir + "/triton",
		"HF_HOME":                        cacheDir + "/hf",
		"HF_HUB_OFFLINE":                 "1",
		"TRANSFORMERS_OFFLINE":           "1",
		"VLLM_NO_USAGE_STATS":            "1",
		"DO_NOT_TRACK":                   "1",
		"VLLM_PLUGINS":                   "",
		"VLLM_LOGGING_COLOR":             "0",
		"VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
		// Reading large weights and compiling take longer than its 10 minutes; the startup probe bounds both.
		"VLLM_ENGINE_READY_TIMEOUT_S": "3600",
	}
}
